// Load sends HTTP requests over and over and says how long each took. It costs the machine little, so that on two cores
// it does not hide what is measured: every worker has a connection of its own (HTTP/1.1, kept alive) and the bytes of
// the requests ready, sends them, and reads the answer before it sends the next.
//
// What is compared takes turns: each turn sends a few requests to every target, in an order that is drawn anew, so that
// whatever else the machine does at a time it does to all.
//
// Orders are read from the standard input, a line of JSON each, and answered by a line of JSON each, in their order.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// order is what is to be sent.
type order struct {
	Targets []target `json:"targets"`
	// Workers is how many requests are under way at a time.
	Workers int `json:"workers"`
	// WarmUp is how many requests each target is sent first, over the same connections; they do not count.
	WarmUp int `json:"warmUp"`
	Turns  int `json:"turns"`
	// Requests is how many a target is sent in a turn.
	Requests int `json:"requests"`
	// Seed is of the order of the targets.
	Seed uint64 `json:"seed"`
}

// target is one request, and what its answers must be like.
type target struct {
	URL string `json:"url"`
	CA  string `json:"ca"`
	// Certificate and Key are the client's, in PEM; without them there is no client certificate.
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	Body        string `json:"body"`
	// Status and Contains are what each answer must have, and Lacks what it must not.
	Status   int    `json:"status"`
	Contains string `json:"contains"`
	Lacks    string `json:"lacks"`

	request     []byte
	connections []*connection
}

// taken says what came of a target's requests.
type taken struct {
	// LatenciesUs are in microseconds, from the first byte sent to the last byte read.
	LatenciesUs []int64 `json:"latenciesUs"`
	// ElapsedUs is what its turns took.
	ElapsedUs int64 `json:"elapsedUs"`
}

// report says what came of an order, target by target.
type report struct {
	Targets []taken `json:"targets"`
	// Error is about the first request that failed; then nothing else counts.
	Error string `json:"error,omitempty"`
}

func main() {
	orders := json.NewDecoder(os.Stdin)
	reports := json.NewEncoder(os.Stdout)
	for {
		var next order
		if err := orders.Decode(&next); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		done, err := carryOut(&next)
		if err != nil {
			done = report{Error: err.Error()}
		}
		if err := reports.Encode(done); err != nil {
			os.Exit(1)
		}
	}
}

// connection is a worker's, and how long what it sent took.
type connection struct {
	conn      *tls.Conn
	reader    *bufio.Reader
	body      bytes.Buffer
	latencies []int64
}

func carryOut(o *order) (report, error) {
	byHost := map[string][]*connection{}
	defer func() {
		for _, connections := range byHost {
			for _, c := range connections {
				_ = c.conn.Close()
			}
		}
	}()
	for i := range o.Targets {
		if err := o.Targets[i].prepare(byHost, o.Workers); err != nil {
			return report{}, err
		}
	}
	for i := range o.Targets {
		if _, err := o.Targets[i].together(o.WarmUp); err != nil {
			return report{}, err
		}
	}
	done := report{Targets: make([]taken, len(o.Targets))}
	random := rand.New(rand.NewPCG(o.Seed, 0))
	for range o.Turns {
		for _, i := range random.Perm(len(o.Targets)) {
			started := time.Now()
			latencies, err := o.Targets[i].together(o.Requests)
			if err != nil {
				return report{}, err
			}
			done.Targets[i].ElapsedUs += time.Since(started).Microseconds()
			done.Targets[i].LatenciesUs = append(done.Targets[i].LatenciesUs, latencies...)
		}
	}
	return done, nil
}

// prepare makes the bytes of the request, and opens connections where there are none to the same host.
func (t *target) prepare(byHost map[string][]*connection, workers int) error {
	where, err := url.Parse(t.URL)
	if err != nil {
		return err
	}
	t.request = fmt.Appendf(nil,
		"POST %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		where.RequestURI(), where.Host, len(t.Body), t.Body)
	if byHost[where.Host] == nil {
		config, err := t.tlsConfig()
		if err != nil {
			return err
		}
		for range workers {
			conn, err := tls.Dial("tcp", where.Host, config)
			if err != nil {
				return err
			}
			opened := &connection{conn: conn, reader: bufio.NewReaderSize(conn, 64<<10)}
			byHost[where.Host] = append(byHost[where.Host], opened)
		}
	}
	t.connections = byHost[where.Host]
	return nil
}

func (t *target) tlsConfig() (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(t.CA)) {
		return nil, errors.New("the CA is no PEM")
	}
	config := &tls.Config{RootCAs: roots, NextProtos: []string{"http/1.1"}}
	if t.Certificate == "" {
		return config, nil
	}
	pair, err := tls.X509KeyPair([]byte(t.Certificate), []byte(t.Key))
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// together lets the workers share a number of requests. It returns how long each took, and the first error, which ends
// them all.
func (t *target) together(requests int) ([]int64, error) {
	var left atomic.Int64
	left.Store(int64(requests))
	failures := make([]error, len(t.connections))
	var all sync.WaitGroup
	for i, c := range t.connections {
		c.latencies = c.latencies[:0]
		all.Add(1)
		go func() {
			defer all.Done()
			for left.Add(-1) >= 0 {
				if failures[i] = t.sendOver(c); failures[i] != nil {
					left.Store(0)
					return
				}
			}
		}()
	}
	all.Wait()
	var latencies []int64
	for _, c := range t.connections {
		latencies = append(latencies, c.latencies...)
	}
	return latencies, errors.Join(failures...)
}

// sendOver sends the request, reads the answer, and looks whether it is what it should be.
func (t *target) sendOver(c *connection) error {
	started := time.Now()
	if _, err := c.conn.Write(t.request); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	c.body.Reset()
	if _, err := c.body.ReadFrom(response.Body); err != nil {
		return err
	}
	took := time.Since(started)
	if err := response.Body.Close(); err != nil {
		return err
	}
	c.latencies = append(c.latencies, took.Microseconds())
	return t.check(response.StatusCode, c.body.Bytes())
}

func (t *target) check(status int, body []byte) error {
	switch {
	case status != t.Status:
		return fmt.Errorf("%s: status %d instead of %d: %s", t.URL, status, t.Status, body)
	case t.Contains != "" && !bytes.Contains(body, []byte(t.Contains)):
		return fmt.Errorf("%s: the answer has no %s: %s", t.URL, t.Contains, body)
	case t.Lacks != "" && bytes.Contains(body, []byte(t.Lacks)):
		return fmt.Errorf("%s: the answer has %s: %s", t.URL, t.Lacks, body)
	}
	return nil
}
