// Relay carries TCP connections inside a network namespace, and into and out of it: it plays
// kube-proxy for the Services of the embedded cluster, and it leads through a Unix socket, which
// unlike a TCP port is the same in all network namespaces.
//
// A connection to its Unix socket starts with one line of JSON, an order:
//
//	{"dial":"10.244.1.2:443"}   answers "ok\n" and then is that connection
//	{"routes":[...]}            replaces all routes, answers "ok\n" once it listens
//
// An order that cannot be carried out is answered with "error: <why>\n".
//
// An API server's egress selector speaks HTTP instead: "CONNECT 10.96.3.7:443 HTTP/1.1" and headers,
// which is the same as a dial.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const dialTimeout = 5 * time.Second

// order is the first line of a connection to the Unix socket.
type order struct {
	Dial   string  `json:"dial,omitempty"`
	Routes []route `json:"routes"`
	// Zones are those of the clients' addresses.
	Zones map[string]string `json:"zones,omitempty"`
}

// route leads connections to an address to one of its targets, by chance.
type route struct {
	Listen  string   `json:"listen"`
	Targets []target `json:"targets"`
}

type target struct {
	Address string `json:"address"`
	// Via is the Unix socket of another relay that dials the address.
	Via string `json:"via,omitempty"`
	// Zones are those of the clients that this target is meant for; none: for all.
	Zones []string `json:"zones,omitempty"`
}

// relay holds what was ordered last.
type relay struct {
	// applying lets one order of routes be carried out at a time.
	applying  sync.Mutex
	mutex     sync.Mutex
	targets   map[string][]target
	zones     map[string]string
	listeners map[string]net.Listener
}

func main() {
	path := flag.String("socket", "", "Unix socket that takes orders")
	flag.Parse()
	if err := os.Remove(*path); err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Fatal(err)
	}
	socket, err := net.Listen("unix", *path)
	if err != nil {
		log.Fatal(err)
	}
	r := &relay{listeners: map[string]net.Listener{}}
	for {
		conn, err := socket.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go r.obey(conn)
	}
}

func (r *relay) obey(conn net.Conn) {
	reader := bufio.NewReader(conn)
	line, err := reader.ReadBytes('\n')
	if err != nil {
		_ = conn.Close()
		return
	}
	if words := strings.Fields(string(line)); len(words) == 3 && words[0] == "CONNECT" {
		tunnel(conn, reader, words[1])
		return
	}
	var o order
	if err := json.Unmarshal(line, &o); err != nil {
		answer(conn, err)
		return
	}
	if o.Dial == "" {
		answer(conn, r.apply(o))
		return
	}
	other, err := dial(target{Address: o.Dial})
	if err != nil {
		answer(conn, err)
		return
	}
	if _, err := io.WriteString(conn, "ok\n"); err != nil {
		abort(other)
		abort(conn)
		return
	}
	// Nobody sends more before the answer, so the reader holds nothing back.
	join(conn, other)
}

// tunnel answers a CONNECT, of which the first line is read already.
func tunnel(conn net.Conn, reader *bufio.Reader, address string) {
	for {
		header, err := reader.ReadString('\n')
		if err != nil {
			_ = conn.Close()
			return
		}
		if strings.TrimSpace(header) == "" {
			break
		}
	}
	other, err := dial(target{Address: address})
	if err != nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		_ = conn.Close()
		return
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		abort(other)
		abort(conn)
		return
	}
	// Nobody sends more before the answer, so the reader holds nothing back.
	join(conn, other)
}

func answer(conn net.Conn, err error) {
	text := "ok\n"
	if err != nil {
		text = "error: " + strings.ReplaceAll(err.Error(), "\n", " ") + "\n"
	}
	_, _ = io.WriteString(conn, text)
	_ = conn.Close()
}

// apply listens to exactly the routes that have a target. Connections that exist go on, as they do
// under kube-proxy.
func (r *relay) apply(o order) error {
	r.applying.Lock()
	defer r.applying.Unlock()
	wanted := map[string][]target{}
	for _, route := range o.Routes {
		if len(route.Targets) > 0 {
			wanted[route.Listen] = route.Targets
		}
	}
	r.mutex.Lock()
	r.targets, r.zones = wanted, o.Zones
	r.mutex.Unlock()
	for address, listener := range r.listeners {
		if _, ok := wanted[address]; !ok {
			_ = listener.Close()
			delete(r.listeners, address)
		}
	}
	var failures []error
	for address := range wanted {
		if _, ok := r.listeners[address]; ok {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		r.listeners[address] = listener
		go r.serve(address, listener)
	}
	return errors.Join(failures...)
}

func (r *relay) serve(address string, listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Printf("%s: %v", address, err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		go r.carry(address, conn)
	}
}

func (r *relay) carry(address string, conn net.Conn) {
	chosen, ok := r.choose(address, conn.RemoteAddr())
	if !ok {
		abort(conn)
		return
	}
	other, err := dial(chosen)
	if err != nil {
		log.Printf("%s: %v", address, err)
		abort(conn)
		return
	}
	join(conn, other)
}

// choose takes a target that is meant for the client's zone, else any.
func (r *relay) choose(address string, client net.Addr) (target, bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	candidates := r.targets[address]
	host, _, _ := net.SplitHostPort(client.String())
	if zone, ok := r.zones[host]; ok {
		var near []target
		for _, t := range candidates {
			if slices.Contains(t.Zones, zone) {
				near = append(near, t)
			}
		}
		if len(near) > 0 {
			candidates = near
		}
	}
	if len(candidates) == 0 {
		return target{}, false
	}
	return candidates[rand.Intn(len(candidates))], true
}

func dial(t target) (net.Conn, error) {
	if t.Via == "" {
		return net.DialTimeout("tcp", t.Address, dialTimeout)
	}
	conn, err := net.DialTimeout("unix", t.Via, dialTimeout)
	if err != nil {
		return nil, err
	}
	text, err := askToDial(conn, t.Address)
	if err == nil && text != "ok\n" {
		err = fmt.Errorf("%s: %s", t.Address, strings.TrimSpace(text))
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func askToDial(conn net.Conn, address string) (string, error) {
	line, err := json.Marshal(map[string]string{"dial": address})
	if err != nil {
		return "", err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return "", err
	}
	// Byte by byte: what follows the line is the connection's.
	var text []byte
	one := make([]byte, 1)
	for !strings.HasSuffix(string(text), "\n") {
		if _, err := conn.Read(one); err != nil {
			return "", err
		}
		text = append(text, one[0])
	}
	return string(text), nil
}

// join copies both ways until both have ended. The end of one direction is passed on as such, and
// a reset as a reset, so that a truncated answer stays one.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	both.Add(2)
	copyOneWay := func(to, from net.Conn) {
		defer both.Done()
		if _, err := io.Copy(to, from); err != nil {
			abort(to)
			abort(from)
			return
		}
		closeWrite(to)
	}
	go copyOneWay(a, b)
	go copyOneWay(b, a)
	both.Wait()
	_ = a.Close()
	_ = b.Close()
}

func closeWrite(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		_ = conn.Close()
		return
	}
	if err := half.CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
		_ = conn.Close()
	}
}

func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
