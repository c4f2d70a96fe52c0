package metadata

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aws-runas/session"
)

// expiry is that of credentials that were served.
func expiry(t *testing.T, s *Server, target string) time.Time {
	t.Helper()
	w := do(s, request("GET", target, ""))
	var c struct{ Expiration time.Time }
	if err := json.Unmarshal(w.Body.Bytes(), &c); w.Code != 200 || err != nil {
		t.Fatalf("%s at %s: %d %s", target, s.now().Format(time.TimeOnly), w.Code, w.Body)
	}
	return c.Expiration
}

// bubbled counts the goroutines of this synctest bubble. The whole process has
// others, which the runtime starts when it collects garbage.
func bubbled() int {
	synctest.Wait()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	own := regexp.MustCompile(`synctest bubble \d+`).Find(stacks) // the caller's is the first
	if own == nil {
		panic("not in a bubble")
	}
	return len(regexp.MustCompile(`(?m)^goroutine .*\b`+string(own)+`\b.*:$`).FindAll(stacks, -1))
}

// Eight hours of requests: never a gap, always as much left as SDKs want, one
// fetch for each lifetime, and no goroutine that stays.
func TestEightHours(t *testing.T) {
	for _, lifetime := range []time.Duration{time.Hour, 15 * time.Minute, time.Minute, 12 * time.Hour} {
		t.Run(lifetime.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, d := newTestServer(t, ecsOptions())
				d.set(func() { d.lifetime = lifetime })
				mustActivate(t, s, "dev")
				expiry(t, s, "/credentials/ops")
				least := lifetime - session.ServerMargin(lifetime)
				goroutines := bubbled()
				for range 8 * 60 * 2 {
					time.Sleep(30 * time.Second)
					synctest.Wait()
					for _, target := range []string{"/credentials", "/credentials/ops", imdsRolesPath + "/dev"} {
						if left := time.Until(expiry(t, s, target)); left < session.ServerMargin(lifetime)-time.Second {
							t.Fatalf("%s left of %s, %s", left, target, lifetime)
						}
					}
				}
				if n := bubbled(); n != goroutines || n < 3 { // a renewal each, and the log
					t.Errorf("%d goroutines, %d at the start", n, goroutines)
				}
				renewals := int(8*time.Hour/least) + 2
				for _, name := range []string{"dev", "ops"} {
					if n := d.count(name); n > renewals {
						t.Errorf("%s fetched %d times, %d would do", name, n, renewals)
					}
				}
			})
		})
	}
}

// An hour without STS: what is alive is served, attempts get rarer, and it is
// well again by itself.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newTestServer(t, ecsOptions())
		mustActivate(t, s, "dev")
		time.Sleep(40 * time.Minute)
		d.set(func() { d.failing["dev"] = errDown })
		before := d.count("dev")
		for range 19 {
			time.Sleep(time.Minute)
			if w := do(s, request("GET", "/credentials", "")); w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		if n := d.count("dev") - before; n < 10 || n > 25 {
			t.Errorf("%d attempts in a quarter of an hour", n)
		}
		w := do(s, request("GET", "/profile", ""))
		if !strings.Contains(w.Body.String(), `"problem":"sts: no route"`) {
			t.Errorf("%s", w.Body)
		}
		time.Sleep(41 * time.Minute) // past the expiry
		before = d.count("dev")
		for range 1000 { // SDKs that ask again and again are no storm
			if w := do(s, request("GET", "/credentials", "")); w.Code != 503 || !strings.Contains(w.Body.String(), "no route") {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		if n := d.count("dev") - before; n > 1 {
			t.Errorf("%d attempts for 1000 requests at once", n)
		}
		d.set(func() { delete(d.failing, "dev") })
		time.Sleep(maxBackoff)
		synctest.Wait()
		if w := do(s, request("GET", "/credentials", "")); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// A provider that returns what is due, because nothing better is to be had, is
// not asked without a pause.
func TestNothingBetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newTestServer(t, ecsOptions())
		d.set(func() { d.now = func() time.Time { return time.Now().Add(-50 * time.Minute) } }) // 10 minutes left
		mustActivate(t, s, "dev")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := d.count("dev"); n > 12 {
			t.Errorf("%d attempts in 5 minutes", n)
		}
	})
}

// A laptop that has slept past the expiry: the first request fetches, since no
// timer has counted the time.
func TestAsleep(t *testing.T) {
	clock := newClock()
	o := ecsOptions()
	o.Now = clock.now
	s, d := newTestServer(t, o)
	mustActivate(t, s, "dev")
	clock.add(10 * time.Hour)
	if left := expiry(t, s, "/credentials").Sub(clock.now()); left < time.Hour-time.Second {
		t.Errorf("%s left", left)
	}
	// Asleep until it is due but alive: served, and renewed off the request's path.
	g := d.close("dev")
	clock.add(50 * time.Minute)
	if left := expiry(t, s, "/credentials").Sub(clock.now()); left > 11*time.Minute {
		t.Errorf("%s left", left)
	}
	<-g.arrived
	close(g.open)
}

// A name that nobody asks for any more is forgotten.
func TestUnusedNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newTestServer(t, ecsOptions())
		mustActivate(t, s, "dev")
		expiry(t, s, "/credentials/ops")
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := d.count("ops"); n > 2 {
			t.Errorf("fetched %d times", n)
		}
		if c := s.state.Load().byName["ops"]; c != nil {
			t.Error("is still held")
		}
		expiry(t, s, "/credentials/ops")
		expiry(t, s, "/credentials") // the active one has been renewed all day
		// One that was active before answers under its listed name for as long.
		if w := do(s, request("POST", "/profile", "ops")); w.Code != 200 {
			t.Fatal(w.Body)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if c := s.state.Load().byName["dev"]; c != nil {
			t.Error("dev is still held")
		}
		expiry(t, s, imdsRolesPath+"/dev")
		expiry(t, s, imdsRolesPath+"/dev")
	})
}

func TestBoundedNames(t *testing.T) {
	s, _ := newTestServer(t, ecsOptions())
	mustActivate(t, s, "dev")
	for i := range 3 * maxSources {
		do(s, request("GET", fmt.Sprintf("/credentials/arn:aws:iam::123456789012:role/R%d", i), ""))
		do(s, request("GET", fmt.Sprintf("/credentials/unknown%d", i), ""))
	}
	st := s.state.Load()
	if len(st.byName) > maxSources || st.byName["dev"] != st.active {
		t.Errorf("%d names", len(st.byName))
	}
}

// However many ask for a name at once, one of them fetches, and one that goes
// away ends it for nobody else.
func TestSingleFlight(t *testing.T) {
	s, d := newTestServer(t, ecsOptions())
	g := d.close("ops")
	var wait sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wait.Go(func() {
		r := request("GET", "/credentials/ops", "")
		if w := do(s, r.WithContext(context.WithValue(ctx, connKey{}, r.Context().Value(connKey{})))); w.Code != 503 {
			t.Errorf("who went away: %d", w.Code)
		}
	})
	<-g.arrived
	cancel()
	for range 50 {
		wait.Go(func() {
			if w := do(s, request("GET", "/credentials/ops", "")); w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	close(g.open)
	wait.Wait()
	if n := d.count("ops"); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

// A source without expiry is said to last a while, and is asked again.
func TestOpenEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newTestServer(t, ecsOptions())
		p, _, err := d.Open(Target{Profile: "dev"}, nobody{})
		if err != nil {
			t.Fatal(err)
		}
		snap, err := newSnapshot(p, "", session.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "s"}, s.now())
		if err != nil || snap.expires.Sub(s.now()) != openEnded || !snap.renew.Before(snap.expires) || !snap.renew.After(s.now()) {
			t.Errorf("%v, %v", snap, err)
		}
		if _, err := newSnapshot(p, "", session.Credentials{Expires: s.now()}, s.now()); err == nil {
			t.Error("expired credentials were taken")
		}
	})
}

// A sign-in that nobody completes is forgotten, with its password. While nothing
// is active its profile waits on, from the beginning: that is whom the server
// was started for.
func TestPendingEnds(t *testing.T) {
	for _, active := range []string{"dev", ""} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := newTestServer(t, ecsOptions())
			if active != "" {
				mustActivate(t, s, active)
			}
			do(s, request("POST", "/profile", "idp"))
			if w := do(s, formRequest("POST", "/auth", "username=alice&password=good-password")); w.Header().Get(authHeader) != session.NeedMFA {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			time.Sleep(pendingLimit + time.Second)
			synctest.Wait()
			waits(t, s, active)
		})
	}
}

// waits checks that of a sign-in to idp that was given up nothing is left, or
// that it begins anew where nothing else is active.
func waits(t *testing.T, s *Server, active string) {
	t.Helper()
	s.mu.Lock()
	p := s.pending
	s.mu.Unlock()
	if active != "" {
		if p != nil {
			t.Errorf("%s is still waited for", p.target)
		}
		return
	}
	if p == nil || p.target.Profile != "idp" || p.given.password != "" || p.given.username != "" || p.forget != nil {
		t.Fatalf("%+v waits", p)
	}
	w := do(s, request("GET", "/profile", ""))
	if w.Code != 401 || w.Header().Get(authHeader) != session.NeedAuth || w.Body.String() != `{"profile":"idp","username":"alice@example.com"}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	do(s, formRequest("POST", "/auth", "username=alice&password=good-password"))
	if w := do(s, formRequest("POST", "/mfa", "mfa=123456")); w.Code != 200 || s.state.Load().active.target.Profile != "idp" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A storm of requests of every kind and switches among three profiles: under
// -race. No answer may mix two profiles, and none fails.
func TestStorm(t *testing.T) {
	s, d := newTestServer(t, ecsOptions())
	s.admit = checkPeer
	d.set(func() { d.lifetime = 200 * time.Millisecond }) // renewals in the middle
	mustActivate(t, s, "dev")
	address, _ := listen(t, s)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	roles := map[string]string{"dev": "Developer", "ops": "Ops", "two words/ünï": "Words"}
	names := []string{"dev", "ops", "two words/ünï"}
	var wait sync.WaitGroup
	var served atomic.Int64
	for worker := range 16 {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			send := func(method, target, body string) (int, string) {
				r, _ := http.NewRequest(method, "http://"+address+target, strings.NewReader(body))
				if method == "POST" && target != "/profile" {
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				response, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return 0, ""
				}
				defer response.Body.Close()
				text, err := io.ReadAll(response.Body)
				if err != nil {
					t.Error(err)
				}
				return response.StatusCode, string(text)
			}
			for range 60 {
				name := names[random.IntN(len(names))]
				escaped := strings.NewReplacer(" ", "%20", "/", "%2F", "ü", "%C3%BC", "ï", "%C3%AF").Replace(name)
				switch random.IntN(9) {
				case 0:
					code, got := send("POST", "/profile", name)
					if code != 200 && code != 409 || code == 200 && !strings.Contains(got, "role/"+roles[name]) && !strings.Contains(got, "role/dev/"+roles[name]) {
						t.Errorf("POST /profile %s: %d %s", name, code, got)
					}
				case 1:
					if code, got := send("POST", "/refresh", ""); code != 200 && code != 409 {
						t.Errorf("POST /refresh: %d %s", code, got)
					}
				case 2:
					send("POST", "/mfa", "mfa=123456")
				case 3:
					send("GET", "/profile", "")
					send("GET", "/list-roles", "")
				case 4:
					code, role := send("GET", imdsRolesPath+"/", "")
					if code != 200 {
						t.Errorf("role list: %d %s", code, role)
					}
					if code, got := send("GET", imdsRolesPath+"/"+role, ""); code != 200 || !strings.Contains(got, `"Code":"Success"`) || !belongs(got, role, roles) {
						t.Errorf("role %s: %d %s", role, code, got)
					}
				case 5:
					send("GET", "/credentials/unknown", "")
				default:
					if code, got := send("GET", "/credentials", ""); code != 200 {
						t.Errorf("credentials: %d %s", code, got)
					}
					if code, got := send("GET", "/credentials/"+escaped, ""); code != 200 || !strings.Contains(got, "ASIA-"+roles[name]+"-") {
						t.Errorf("credentials of %s: %d %s", name, code, got)
					}
				}
				served.Add(1)
			}
		})
	}
	wait.Wait()
	if served.Load() != 16*60 {
		t.Errorf("%d rounds", served.Load())
	}
}

func belongs(got, role string, roles map[string]string) bool {
	for name, want := range roles {
		if roleName(name) == role {
			return strings.Contains(got, "ASIA-"+want+"-")
		}
	}
	return false
}
