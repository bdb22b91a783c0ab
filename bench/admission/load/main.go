// Load sends one HTTP request over and over and says how long each took. It costs the machine little, so that on two
// cores it does not hide what is measured: every worker has a connection of its own (HTTP/1.1, kept alive) and the
// bytes of the request ready, sends them, and reads the answer before it sends them again.
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
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// order is what is to be sent.
type order struct {
	URL string `json:"url"`
	CA  string `json:"ca"`
	// Certificate and Key are the client's, in PEM; without them there is no client certificate.
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	Body        string `json:"body"`
	// Workers is how many requests are under way at a time.
	Workers int `json:"workers"`
	// WarmUp is how many requests are sent first, over the same connections, and do not count.
	WarmUp   int `json:"warmUp"`
	Requests int `json:"requests"`
	// Status and Contains are what each answer must have, and Lacks what it must not.
	Status   int    `json:"status"`
	Contains string `json:"contains"`
	Lacks    string `json:"lacks"`
}

// report says what came of an order.
type report struct {
	// LatenciesUs are in microseconds, from the first byte sent to the last byte read.
	LatenciesUs []int64 `json:"latenciesUs"`
	ElapsedUs   int64   `json:"elapsedUs"`
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
		done, err := carryOut(next)
		if err != nil {
			done = report{Error: err.Error()}
		}
		if err := reports.Encode(done); err != nil {
			os.Exit(1)
		}
	}
}

// worker is one connection, and what it has measured.
type worker struct {
	conn      *tls.Conn
	reader    *bufio.Reader
	request   []byte
	order     *order
	body      bytes.Buffer
	latencies []int64
}

func carryOut(o order) (report, error) {
	workers, err := connect(&o)
	defer func() {
		for _, w := range workers {
			_ = w.conn.Close()
		}
	}()
	if err != nil {
		return report{}, err
	}
	if err := together(workers, o.WarmUp); err != nil {
		return report{}, err
	}
	var done report
	for _, w := range workers {
		w.latencies = w.latencies[:0]
	}
	started := time.Now()
	if err := together(workers, o.Requests); err != nil {
		return report{}, err
	}
	done.ElapsedUs = time.Since(started).Microseconds()
	for _, w := range workers {
		done.LatenciesUs = append(done.LatenciesUs, w.latencies...)
	}
	return done, nil
}

// connect opens all connections, with TLS shaken hands.
func connect(o *order) ([]*worker, error) {
	target, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	request := fmt.Appendf(nil,
		"POST %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		target.RequestURI(), target.Host, len(o.Body), o.Body)
	var workers []*worker
	for range o.Workers {
		conn, err := tls.Dial("tcp", target.Host, config)
		if err != nil {
			return workers, err
		}
		workers = append(workers, &worker{
			conn:      conn,
			reader:    bufio.NewReaderSize(conn, 64<<10),
			request:   request,
			order:     o,
			latencies: make([]int64, 0, max(o.Requests, o.WarmUp)),
		})
	}
	return workers, nil
}

func tlsConfig(o *order) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(o.CA)) {
		return nil, errors.New("the CA is no PEM")
	}
	config := &tls.Config{RootCAs: roots, NextProtos: []string{"http/1.1"}}
	if o.Certificate == "" {
		return config, nil
	}
	pair, err := tls.X509KeyPair([]byte(o.Certificate), []byte(o.Key))
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// together lets the workers share a number of requests; it returns the first error, which ends them all.
func together(workers []*worker, requests int) error {
	var left atomic.Int64
	left.Store(int64(requests))
	failures := make([]error, len(workers))
	var all sync.WaitGroup
	for i, w := range workers {
		all.Add(1)
		go func() {
			defer all.Done()
			for left.Add(-1) >= 0 {
				if failures[i] = w.send(); failures[i] != nil {
					left.Store(0)
					return
				}
			}
		}()
	}
	all.Wait()
	return errors.Join(failures...)
}

// send sends the request, reads the answer, and looks whether it is what it should be.
func (w *worker) send() error {
	started := time.Now()
	if _, err := w.conn.Write(w.request); err != nil {
		return err
	}
	response, err := http.ReadResponse(w.reader, nil)
	if err != nil {
		return err
	}
	w.body.Reset()
	if _, err := w.body.ReadFrom(response.Body); err != nil {
		return err
	}
	took := time.Since(started)
	if err := response.Body.Close(); err != nil {
		return err
	}
	w.latencies = append(w.latencies, took.Microseconds())
	return w.order.check(response.StatusCode, w.body.Bytes())
}

func (o *order) check(status int, body []byte) error {
	switch {
	case status != o.Status:
		return fmt.Errorf("status %d instead of %d: %s", status, o.Status, body)
	case o.Contains != "" && !bytes.Contains(body, []byte(o.Contains)):
		return fmt.Errorf("the answer has no %s: %s", o.Contains, body)
	case o.Lacks != "" && bytes.Contains(body, []byte(o.Lacks)):
		return fmt.Errorf("the answer has %s: %s", o.Lacks, body)
	}
	return nil
}
