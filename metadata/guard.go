package metadata

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// peer is who may be at the other end.
type peer int

const (
	stranger  peer = iota
	trusted        // this user's process, or root's
	container      // gets credentials and nothing else
)

// peerOf finds out who is at the other end of c.
func (s *Server) peerOf(c *conn) (peer, string) {
	c.once.Do(func() { c.peer, c.why = s.judge(c) })
	return c.peer, c.why
}

func (s *Server) judge(c *conn) (peer, string) {
	remote := c.remote.Addr()
	own, err := ownAddress(remote)
	switch {
	case err != nil:
		return stranger, fmt.Sprintf("whose connection this is cannot be told: %v", err)
	case own && (s.token != nil || s.o.AnyUser):
		return trusted, ""
	case own:
		if err := s.admit(c.remote, c.local); err != nil {
			return stranger, err.Error() + "; start the server with --allow-any-user to let in every process of this machine"
		}
		return trusted, ""
	}
	for _, subnet := range s.o.AllowFrom {
		if subnet.Contains(remote) {
			return container, ""
		}
	}
	if s.o.Containers && inBridge(remote) {
		return container, ""
	}
	return stranger, fmt.Sprintf("%s is another machine or an unknown container network; start the server with --allow-from %s to give it credentials", remote, netip.PrefixFrom(remote, remote.BitLen()))
}

// ownAddress reports whether ip is an address of this machine, in this network
// namespace.
func ownAddress(ip netip.Addr) (bool, error) {
	if ip.IsLoopback() {
		return true, nil
	}
	if !ip.IsValid() {
		return false, errors.New("the connection has no address")
	}
	all, err := net.InterfaceAddrs()
	for _, a := range all {
		if prefix(a).Addr() == ip {
			return true, nil
		}
	}
	return false, err
}

func prefix(a net.Addr) netip.Prefix {
	p, _ := netip.ParsePrefix(a.String())
	return netip.PrefixFrom(p.Addr().Unmap(), p.Bits())
}

// inBridge reports whether ip is in the subnet of a bridge that docker or
// podman made. They make some while the server runs, so they are looked up each
// time a stranger connects.
func inBridge(ip netip.Addr) bool {
	interfaces, err := net.Interfaces()
	if err != nil {
		return false
	}
	for _, i := range interfaces {
		if !bridgeName(i.Name) {
			continue
		}
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			if p := prefix(a); p.IsValid() && p.Contains(ip) {
				return true
			}
		}
	}
	return false
}

// bridgeName knows docker0 and the br-0123456789ab of its further networks,
// podman0 and the cni-podman0 of older versions.
func bridgeName(name string) bool {
	if id, ok := strings.CutPrefix(name, "br-"); ok {
		return len(id) == 12 && strings.Trim(id, "0123456789abcdef") == ""
	}
	name = strings.TrimPrefix(name, "cni-")
	for _, kind := range [...]string{"docker", "podman"} {
		if n, ok := strings.CutPrefix(name, kind); ok && n != "" && strings.Trim(n, "0123456789") == "" {
			return true
		}
	}
	return false
}

// servedHost reports whether a Host header names this machine's loopback or the
// address that the connection came in by, whatever the port. A web page may
// have had a name of its own resolved to either.
func servedHost(host string, local netip.Addr) bool {
	if loopbackHost(host) {
		return true
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap() == local
}

// crossSite reports whether a web page of another site made a browser send r,
// other than by a link to the page.
func crossSite(r *http.Request) bool {
	if origin := r.Header["Origin"]; len(origin) > 0 && (len(origin) > 1 || origin[0] != "http://"+r.Host) {
		return true
	}
	sites := r.Header["Sec-Fetch-Site"]
	if len(sites) == 0 || len(sites) == 1 && (sites[0] == "same-origin" || sites[0] == "none") {
		return false
	}
	navigates := r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	return !(navigates && r.Method == http.MethodGet && r.URL.Path == "/")
}

// refuse is the answer to a request that may not be, or false.
func (s *Server) refuse(r *http.Request, c *conn, of level) (reply, bool) {
	if !servedHost(r.Host, c.local.Addr()) {
		return closing(failure(http.StatusForbidden, "Forbidden", "this server is not served under that host name: use its address")), true
	}
	if crossSite(r) {
		return closing(failure(http.StatusForbidden, "Forbidden", "requests of other web sites are refused")), true
	}
	if s.token != nil && of != pageLevel && !authorized(r.Header.Get("Authorization"), *s.token) {
		return failure(http.StatusUnauthorized, "Unauthorized", "the Authorization header must hold the token that the server printed, as AWS_CONTAINER_AUTHORIZATION_TOKEN makes the SDKs do"), true
	}
	switch who, why := s.peerOf(c); {
	case who == stranger:
		return closing(failure(http.StatusForbidden, "Forbidden", why)), true
	case who == container && of != sdkLevel:
		return failure(http.StatusForbidden, "Forbidden", "containers get credentials here and nothing else"), true
	}
	return reply{}, false
}

// closing ends the connection: whoever was refused is not to hold it open.
func closing(r reply) reply {
	r.header = append(r.header, field{"Connection", "close"})
	return r
}
