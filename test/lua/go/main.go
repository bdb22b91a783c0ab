// Runs the Lua of the gateway's filter as Envoy does, for tests: Lua 5.1, a coroutine per request, and Envoy's request
// handle with the rules that a script can break. A request is a line of JSON on standard input, what came of it a line
// on standard output.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

type certificate struct {
	CommonName    string   `json:"commonName"`
	Organizations []string `json:"organizations"`
	Subject       string   `json:"subject"`
	NoSubject     bool     `json:"noSubject"`
	// Unix seconds; absent where Envoy knows none.
	NotBefore *int64 `json:"notBefore"`
	NotAfter  *int64 `json:"notAfter"`
}

type request struct {
	Script  string      `json:"script"`
	Headers [][2]string `json:"headers"`
	SNI     string      `json:"sni"`
	// Of the route that was found for the request; empty: none.
	RouteName string `json:"routeName"`
	// A request that did not come by TLS.
	Plain       bool         `json:"plain"`
	Certificate *certificate `json:"certificate"`
	// What os.time() says, in Unix seconds.
	Now int64 `json:"now"`
	// The name of a method of Envoy's that fails.
	Breaks string `json:"breaks"`
}

type response struct {
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

type result struct {
	// The request's headers, where it goes on.
	Headers  [][2]string `json:"headers"`
	Response *response   `json:"response,omitempty"`
	Logs     []string    `json:"logs"`
	// An error of the script that it did not handle: Envoy would let the request go on.
	Error string `json:"error,omitempty"`
}

// headerMap is Envoy's: names in lower case, in the order of arrival, a name more than once.
type headerMap struct {
	entries   [][2]string
	iterating bool
}

func (m *headerMap) change(l *lua.LState) {
	if m.iterating {
		l.RaiseError("header map cannot be modified while iterating")
	}
}

func (m *headerMap) remove(name string) {
	kept := [][2]string{}
	for _, entry := range m.entries {
		if entry[0] != name {
			kept = append(kept, entry)
		}
	}
	m.entries = kept
}

func (m *headerMap) methods(breaks string) map[string]lua.LGFunction {
	return guard(breaks, map[string]lua.LGFunction{
		"get": func(l *lua.LState) int {
			name, values := strings.ToLower(l.CheckString(2)), []string{}
			for _, entry := range m.entries {
				if entry[0] == name {
					values = append(values, entry[1])
				}
			}
			if len(values) == 0 {
				l.Push(lua.LNil)
			} else {
				l.Push(lua.LString(strings.Join(values, ",")))
			}
			return 1
		},
		"add": func(l *lua.LState) int {
			m.change(l)
			m.entries = append(m.entries, [2]string{strings.ToLower(l.CheckString(2)), l.CheckString(3)})
			return 0
		},
		"replace": func(l *lua.LState) int {
			m.change(l)
			name := strings.ToLower(l.CheckString(2))
			m.remove(name)
			m.entries = append(m.entries, [2]string{name, l.CheckString(3)})
			return 0
		},
		"remove": func(l *lua.LState) int {
			m.change(l)
			m.remove(strings.ToLower(l.CheckString(2)))
			return 0
		},
	})
}

func guard(breaks string, methods map[string]lua.LGFunction) map[string]lua.LGFunction {
	if _, found := methods[breaks]; found {
		methods[breaks] = func(l *lua.LState) int {
			l.RaiseError("%s is broken", breaks)
			return 0
		}
	}
	return methods
}

// object makes a userdata with methods; `value` is found again by those who know it.
func object(l *lua.LState, value any, methods map[string]lua.LGFunction) *lua.LUserData {
	data, meta := l.NewUserData(), l.NewTable()
	data.Value = value
	l.SetField(meta, "__index", l.SetFuncs(l.NewTable(), methods))
	data.Metatable = meta
	return data
}

// constant is a method that returns one value.
func constant(value lua.LValue) lua.LGFunction {
	return func(l *lua.LState) int {
		l.Push(value)
		return 1
	}
}

func seconds(value *int64) lua.LValue {
	if value == nil {
		return lua.LNil
	}
	return lua.LNumber(*value)
}

func sslObject(l *lua.LState, in *request) lua.LValue {
	if in.Plain {
		return lua.LNil
	}
	c := in.Certificate
	if c == nil {
		return object(l, nil, guard(in.Breaks, map[string]lua.LGFunction{
			"peerCertificatePresented": constant(lua.LFalse),
		}))
	}
	organizations := l.NewTable()
	for _, organization := range c.Organizations {
		organizations.Append(lua.LString(organization))
	}
	var parsed lua.LValue = object(l, nil, guard(in.Breaks, map[string]lua.LGFunction{
		"commonName":       constant(lua.LString(c.CommonName)),
		"organizationName": constant(organizations),
	}))
	if c.NoSubject {
		parsed = lua.LNil
	}
	return object(l, nil, guard(in.Breaks, map[string]lua.LGFunction{
		"peerCertificatePresented":     constant(lua.LTrue),
		"peerCertificateValidated":     constant(lua.LFalse),
		"parsedSubjectPeerCertificate": constant(parsed),
		"subjectPeerCertificate":       constant(lua.LString(c.Subject)),
		"validFromPeerCertificate":     constant(seconds(c.NotBefore)),
		"expirationPeerCertificate":    constant(seconds(c.NotAfter)),
	}))
}

func handleObject(l *lua.LState, in *request, headers *headerMap, out *result) lua.LValue {
	info := object(l, nil, guard(in.Breaks, map[string]lua.LGFunction{
		"requestedServerName":     constant(lua.LString(in.SNI)),
		"routeName":               constant(lua.LString(in.RouteName)),
		"downstreamSslConnection": constant(sslObject(l, in)),
	}))
	return object(l, nil, guard(in.Breaks, map[string]lua.LGFunction{
		"headers":    constant(object(l, headers, headers.methods(in.Breaks))),
		"streamInfo": constant(info),
		"logErr": func(l *lua.LState) int {
			out.Logs = append(out.Logs, l.CheckString(2))
			return 0
		},
		"respond": func(l *lua.LState) int {
			answer := &response{Headers: map[string]string{}, Body: l.OptString(3, "")}
			l.CheckTable(2).ForEach(func(name, value lua.LValue) {
				answer.Headers[name.String()] = value.String()
			})
			out.Response = answer
			// As in Envoy, that is the end of the script.
			return l.Yield()
		},
	}))
}

// newState loads a script. LuaJIT's pairs knows objects, that of Lua 5.1 does not.
func newState(script string) (*lua.LState, error) {
	l := lua.NewState()
	original := l.GetGlobal("pairs")
	l.SetGlobal("pairs", l.NewFunction(func(l *lua.LState) int {
		data, isData := l.Get(1).(*lua.LUserData)
		if !isData {
			value := l.Get(1)
			l.Push(original)
			l.Push(value)
			l.Call(1, 3)
			return 3
		}
		headers := data.Value.(*headerMap)
		headers.iterating = true
		next := 0
		l.Push(l.NewFunction(func(l *lua.LState) int {
			if next == len(headers.entries) {
				headers.iterating = false
				l.Push(lua.LNil)
				return 1
			}
			entry := headers.entries[next]
			next++
			l.Push(lua.LString(entry[0]))
			l.Push(lua.LString(entry[1]))
			return 2
		}))
		return 1
	}))
	return l, l.DoString(script)
}

func run(l *lua.LState, in *request) result {
	out := result{Logs: []string{}}
	l.SetField(l.GetGlobal("os"), "time", l.NewFunction(constant(lua.LNumber(in.Now))))
	headers := &headerMap{}
	for _, entry := range in.Headers {
		headers.entries = append(headers.entries, [2]string{strings.ToLower(entry[0]), entry[1]})
	}
	onRequest, isFunction := l.GetGlobal("envoy_on_request").(*lua.LFunction)
	if !isFunction {
		out.Error = "there is no envoy_on_request"
	} else {
		thread, cancel := l.NewThread()
		_, err, _ := l.Resume(thread, onRequest, handleObject(l, in, headers, &out))
		if err != nil {
			out.Error = err.Error()
		}
		if cancel != nil {
			cancel()
		}
	}
	out.Headers = headers.entries
	return out
}

func main() {
	states := map[string]*lua.LState{}
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 64<<20)
	output := json.NewEncoder(os.Stdout)
	output.SetEscapeHTML(false)
	for input.Scan() {
		var in request
		if err := json.Unmarshal(input.Bytes(), &in); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		l, known := states[in.Script]
		if !known {
			var err error
			l, err = newState(in.Script)
			if err != nil {
				// Envoy refuses the configuration.
				_ = output.Encode(result{Headers: in.Headers, Logs: []string{}, Error: err.Error()})
				continue
			}
			states[in.Script] = l
		}
		_ = output.Encode(run(l, &in))
	}
}
