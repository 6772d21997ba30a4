package dns

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vidimus/integration/peer"
	"vidimus/internal/authenticator"
	"vidimus/internal/authenticator/dns"
	"vidimus/internal/authenticator/dns/authority"
)

// value is the TXT value of challenge(…, key).
func value(key string) string {
	sum := sha256.Sum256([]byte(key + ".thumbprint"))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// present runs Present beside the test.
func present(a authenticator.Authenticator, challenges ...authenticator.Challenge) <-chan error {
	done := make(chan error, 1)
	go func() { done <- a.Present(ctx, challenges) }()
	return done
}

func TestGoesOnWhenTheLastServerShowsAllValues(t *testing.T) {
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}})
	c := config(z, z.Credentials(t))
	c.StateDir = filepath.Join(t.TempDir(), "state")
	a := newAuthenticator(t, c)
	done := present(a, challenge("example.org", "one"), challenge("*.example.org", "two"))
	both := func(server string) bool {
		got := z.TXT(t, server, "_acme-challenge.example.org")
		return slices.Contains(got, value("one")) && slices.Contains(got, value("two"))
	}
	peer.Eventually(t, "the primary has both values", func() bool { return both(z.Primary) })
	if len(notes(t, c.StateDir)) != 1 {
		t.Errorf("notes: %v, want one", notes(t, c.StateDir))
	}
	select {
	case err := <-done:
		t.Fatalf("Present returned (%v) before the secondary had anything", err)
	default:
	}
	z.Follow(t, "example.org")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !both(z.Secondary) {
		t.Error("Present returned before the secondary showed both values")
	}
	if err := a.Cleanup(ctx); err != nil {
		t.Error(err)
	}
	if got := z.TXT(t, z.Primary, "_acme-challenge.example.org"); len(got) != 0 {
		t.Errorf("left in the zone: %q", got)
	}
	if len(notes(t, c.StateDir)) != 0 {
		t.Errorf("left on disk: %v", notes(t, c.StateDir))
	}
}

func TestNamesTheServerThatNeverCatchesUp(t *testing.T) {
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Records: "_acme-challenge TXT old-value\n"})
	c := with(config(z, z.Credentials(t)), "dns_rfc2136_propagation_seconds", "1")
	a := newAuthenticator(t, c)
	err := <-present(a, challenge("example.org", "one"))
	var lag *authority.LagError
	if !errors.As(err, &lag) {
		t.Fatalf("error %v, want one about a lagging server", err)
	}
	host, _, _ := net.SplitHostPort(z.Secondary)
	for _, want := range []string{"dns-01: ns2.example.org (" + host, "still answers the old TXT value after 1s", `"old-value"`, "--dns-rfc2136-propagation-seconds"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	if got := z.TXT(t, z.Primary, "_acme-challenge.example.org"); !slices.Equal(got, []string{"old-value"}) {
		t.Errorf("in the zone after the failure: %q, want the old value alone", got)
	}
}

func TestFollowsAliasesIntoAnotherZone(t *testing.T) {
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org", "challenges.example.net"}, Alone: true,
		Records: "_acme-challenge.www CNAME step\nstep CNAME www-example.challenges.example.net.\n" +
			"_acme-challenge.loop CNAME round\nround CNAME _acme-challenge.loop\n"})
	a := newAuthenticator(t, config(z, z.Credentials(t)))
	if err := <-present(a, challenge("www.example.org", "one")); err != nil {
		t.Fatal(err)
	}
	if got := z.TXT(t, z.Primary, "www-example.challenges.example.net"); !slices.Equal(got, []string{value("one")}) {
		t.Errorf("at the end of the aliases: %q", got)
	}
	if err := a.Cleanup(ctx); err != nil {
		t.Error(err)
	}
	err := <-present(a, challenge("loop.example.org", "one"))
	if err == nil || !strings.Contains(err.Error(), "lead in a circle") {
		t.Errorf("a loop of aliases: %v", err)
	}
}

func TestFollowsTheDelegationOfTheChallengeName(t *testing.T) {
	const name = "_acme-challenge.example.org"
	child := peer.StartZones(t, peer.ZoneOptions{Names: []string{name}, Alone: true})
	host, port, _ := net.SplitHostPort(child.Primary)
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	above := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Port: number, Alone: true,
		Records: "_acme-challenge NS elsewhere\nelsewhere A " + host + "\n"})
	log, out := logged(t)
	c := config(child, child.Credentials(t))
	c.Resolver, c.Log = above.Primary, log
	a := newAuthenticator(t, c)
	defer a.Cleanup(ctx)
	if err := <-present(a, challenge("example.org", "one")); err != nil {
		t.Fatal(err)
	}
	if got := child.TXT(t, child.Primary, name); !slices.Equal(got, []string{value("one")}) {
		t.Errorf("in the zone below: %q", got)
	}
	if strings.Contains(out.String(), "WARN") {
		t.Errorf("it was not a way without warnings:\n%s", out)
	}
}

// blackHole takes questions at a port and never answers.
func blackHole(t *testing.T, port string) string {
	t.Helper()
	host := fmt.Sprintf("127.0.%d.251", os.Getpid()%200+1)
	at := net.JoinHostPort(host, port)
	u, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close(); l.Close() })
	return host
}

func TestGoesOnWithoutDeadServers(t *testing.T) {
	port := peer.FreePort(t)
	refusing := fmt.Sprintf("127.0.%d.250", os.Getpid()%200+1)
	silent := blackHole(t, fmt.Sprint(port))
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Alone: true, Port: port, Servers: []string{refusing, silent}})
	c := config(z, z.Credentials(t))
	c.Patience = time.Second
	log, out := logged(t)
	c.Log = log
	a := newAuthenticator(t, c)
	defer a.Cleanup(ctx)
	if err := <-present(a, challenge("example.org", "one")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ns3.example.org", "ns4.example.org"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log does not name %s, which is dead", want)
		}
	}
}

func TestAsksTheResolverWhenNoServerCanBeReached(t *testing.T) {
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Alone: true})
	c := config(z, z.Credentials(t))
	c.AuthorityPort = fmt.Sprint(peer.FreePort(t)) // as a firewall would have it
	c.Patience = 10 * time.Millisecond
	log, out := logged(t)
	c.Log = log
	a := newAuthenticator(t, c)
	defer a.Cleanup(ctx)
	if err := <-present(a, challenge("example.org", "one")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "asking the resolver instead") {
		t.Error("the log does not say that the resolver was asked")
	}
}

func TestLetsTheCALookWhenNothingCanBeAsked(t *testing.T) {
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Alone: true})
	c := with(config(z, z.Credentials(t)), "dns_rfc2136_propagation_seconds", "1")
	c.Resolver = fmt.Sprintf("127.0.0.1:%d", peer.FreePort(t)) // nobody is there
	log, out := logged(t)
	c.Log = log
	a := newAuthenticator(t, c)
	if err := <-present(a, challenge("example.org", "one")); err != nil {
		t.Fatal(err)
	}
	if got := z.TXT(t, z.Primary, "_acme-challenge.example.org"); !slices.Equal(got, []string{value("one")}) {
		t.Errorf("there is %q", got)
	}
	if err := a.Cleanup(ctx); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "letting the CA look") {
		t.Error("the log does not say that nothing could be asked")
	}
}

func TestReadsAnswersTooLargeForUDP(t *testing.T) {
	var records strings.Builder
	for i := range 60 {
		fmt.Fprintf(&records, "_acme-challenge TXT %q\n", value(fmt.Sprint("left over ", i)))
	}
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Records: records.String(), Alone: true})
	a := newAuthenticator(t, config(z, z.Credentials(t)))
	if err := <-present(a, challenge("example.org", "one")); err != nil {
		t.Fatal(err)
	}
	if err := a.Cleanup(ctx); err != nil {
		t.Error(err)
	}
	if got := z.TXT(t, z.Primary, "_acme-challenge.example.org"); len(got) != 60 {
		t.Errorf("%d values are there, want the 60 of somebody else", len(got))
	}
}

func TestManyOrdersForOneNameLeaveEachOthersValues(t *testing.T) {
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Alone: true})
	c := config(z, z.Credentials(t))
	c.StateDir = t.TempDir()
	c.Session = dns.NewSession()
	defer c.Session.Close()
	var ready, done sync.WaitGroup
	const orders = 20
	ready.Add(orders)
	for i := range orders {
		done.Go(func() {
			key := fmt.Sprint("order ", i)
			a := newAuthenticator(t, c)
			if err := <-present(a, challenge("example.org", key)); err != nil {
				t.Error(err)
			}
			ready.Done()
			if i%2 == 0 {
				a.Cleanup(ctx)
				return
			}
			ready.Wait()
			if !slices.Contains(z.TXT(t, z.Primary, "_acme-challenge.example.org"), value(key)) {
				t.Errorf("the value of order %d went with another's", i)
			}
			a.Cleanup(ctx)
		})
	}
	done.Wait()
	if got := z.TXT(t, z.Primary, "_acme-challenge.example.org"); len(got) != 0 || len(notes(t, c.StateDir)) != 0 {
		t.Errorf("left over: %q, %v", got, notes(t, c.StateDir))
	}
}

// presentAndHang is what the test below kills.
func presentAndHang() {
	z := &peer.Zones{Primary: os.Getenv("VIDIMUS_TEST_PRIMARY"), Port: os.Getenv("VIDIMUS_TEST_PORT")}
	c := config(z, os.Getenv("VIDIMUS_TEST_PRESENT"))
	c.StateDir = os.Getenv("VIDIMUS_TEST_STATE")
	a, err := dns.New(c)
	if err == nil {
		err = a.Present(context.Background(), []authenticator.Challenge{challenge("example.org", "one"), challenge("*.example.org", "two")})
	}
	fmt.Println("presented", err)
	select {}
}

func TestRemovesWhatAKilledRunLeft(t *testing.T) {
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Alone: true, Records: "_acme-challenge TXT another's\n"})
	state := filepath.Join(t.TempDir(), "state")
	log, _ := logged(t)
	if err := dns.Recover(ctx, state, log); err != nil {
		t.Fatalf("with nothing to do: %v", err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "VIDIMUS_TEST_PRESENT="+z.Credentials(t), "VIDIMUS_TEST_PRIMARY="+z.Primary, "VIDIMUS_TEST_PORT="+z.Port, "VIDIMUS_TEST_STATE="+state)
	out := peer.Start(t, cmd)
	peer.Eventually(t, "the values are there", func() bool { return strings.Contains(out.String(), "presented <nil>") })
	cmd.Process.Kill()
	cmd.Wait()
	if got := z.TXT(t, z.Primary, "_acme-challenge.example.org"); len(got) != 3 {
		t.Fatalf("after the kill there is %q", got)
	}
	if err := dns.Recover(ctx, state, log); err != nil {
		t.Fatal(err)
	}
	if got := z.TXT(t, z.Primary, "_acme-challenge.example.org"); !slices.Equal(got, []string{"another's"}) {
		t.Errorf("after Recover there is %q", got)
	}
	if len(notes(t, state)) != 0 {
		t.Errorf("notes are left: %v", notes(t, state))
	}
}

func TestSignsWithEveryAlgorithmOfCertbot(t *testing.T) {
	for _, algorithm := range []string{"hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha384", "hmac-sha512"} {
		t.Run(algorithm, func(t *testing.T) {
			z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Alone: true, Algorithm: algorithm})
			a := newAuthenticator(t, config(z, z.Credentials(t)))
			if err := <-present(a, challenge("example.org", "one")); err != nil {
				t.Fatal(err)
			}
			a.Cleanup(ctx)
		})
	}
}
