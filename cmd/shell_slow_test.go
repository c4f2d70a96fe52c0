//go:build slow && unix

package cmd

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// seven leaves a status of 7 behind, for the prompts that follow.
const seven = "sh -c 'exit 7'"

// prompts expects nothing but prompts with status 7 and messages since then, and
// returns the messages.
func (x *liveShell) prompts() (messages []string) {
	x.t.Helper()
	n := 0
	prompt := regexp.MustCompile(`^(\[! prod \d+s\] )?7 P>$`)
	for _, line := range strings.Split(x.text(seven), "\n") {
		switch {
		case line == "": // Enter was pressed while the prompt was not there yet
		case prompt.MatchString(line):
			n++
		case strings.HasPrefix(line, "aws-runas: "), strings.HasPrefix(line, "hint: "):
			messages = append(messages, line)
		default:
			x.t.Errorf("neither a prompt with status 7 nor a message: %q", line)
		}
	}
	if n < 2 {
		x.t.Errorf("%d prompts", n)
	}
	return messages
}

// A shell with the hook has keys that renew while nothing but Enter is typed,
// says once that they cannot be renewed, and has none once they have expired.
func TestSlowPromptKeepsFresh(t *testing.T) {
	inLiveShells(t, 8*time.Second, func(x *liveShell, h *household) {
		before := x.variables()
		x.run("runas prod")
		x.wait(`^\[! prod [0-8]s\] 0 P>`)
		x.wait(`^prod  210987654321  Partner  eu-west-1  [0-8]s$`)
		first := x.say("$AWS_ACCESS_KEY_ID")
		if !strings.HasPrefix(first, "ASIA") {
			t.Fatalf("the key is %q", first)
		}
		with := x.variables()

		h.world.SetLifetime(12 * time.Second) // which the prompt tells from the first
		n := h.world.Count("AssumeRole")
		x.send(seven + "\r")
		x.until("renewal", true, func() bool { return h.world.Count("AssumeRole") > n })
		x.until("new credentials in the prompt", true, func() bool { return regexp.MustCompile(`(?m)^\[! prod (9|1\d)s\] 7 P>`).MatchString(x.text(seven)) })
		if said := x.prompts(); len(said) > 0 {
			x.t.Errorf("a renewal says %q", said)
		}
		second := x.say("$AWS_ACCESS_KEY_ID")
		if !strings.HasPrefix(second, "ASIA") || second == first {
			x.t.Errorf("the key is %q after %q", second, first)
		}
		x.run("printenv AWS_SESSION_TOKEN > token")
		token, err := os.ReadFile(filepath.Join(x.home, "token"))
		if err != nil || !slices.Contains(h.world.Secrets(), strings.TrimSpace(string(token))) {
			x.t.Errorf("the session token is none that was issued, %v", err)
		}
		x.has(with)

		if err := h.world.Close(); err != nil {
			x.t.Fatal(err)
		}
		x.send(seven + "\r")
		x.until("word of the failure", true, func() bool { return strings.Contains(x.text(seven), "aws-runas: ") })
		x.until("end of the credentials", true, func() bool { return strings.Contains(x.text(seven), "have expired and are removed") })
		x.until("prompt without a segment", true, func() bool { return strings.HasSuffix(x.text(seven), "\n7 P>\n7 P>") })
		said := x.prompts()
		if len(said) != 2 || !strings.HasPrefix(said[0], "aws-runas: could not renew ") ||
			said[1] != "aws-runas: the credentials of prod have expired and are removed: runas - gets new ones" {
			x.t.Errorf("without a network it says\n%s", strings.Join(said, "\n"))
		}
		x.has(before, []string{"AWSRUNAS_PREVIOUS"})
		if x.t.Failed() {
			x.t.Log("\n" + x.text(""))
		}
	})
}
