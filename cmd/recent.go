package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"aws-runas/cmd/tty"
	"aws-runas/session/profile"
)

// pickProfile lets a person choose among the configured profiles, those used
// last first.
func (a *app) pickProfile() (string, error) {
	config, err := a.config()
	if err != nil {
		return "", err
	}
	list := byUse(config.Summaries(), a.recent())
	if len(list) == 0 {
		return "", usage("no profile is named, and none is configured").hint("%s", a.noProfiles(config))
	}
	items := make([]tty.Item, len(list))
	for i, s := range list {
		items[i] = tty.Item{Name: s.Name, Detail: strings.TrimRight(fmt.Sprintf("%-12s  %s", s.Account, roleName(s)), " ")}
	}
	ctx, stop := interruptible()
	defer stop()
	i, err := a.terminal().Pick(ctx, "Profile", items)
	if errors.Is(err, tty.ErrNobody) {
		return "", usage("no profile is named").hint("aws-runas list profiles")
	}
	if err != nil {
		return "", err
	}
	return list[i].Name, nil
}

// byUse puts the recent ones first and leaves the others in their order.
func byUse(list []profile.Summary, recent []string) []profile.Summary {
	rank := make(map[string]int, len(recent))
	for i, name := range recent {
		rank[name] = i - len(recent)
	}
	slices.SortStableFunc(list, func(a, b profile.Summary) int { return rank[a.Name] - rank[b.Name] })
	return list
}

const (
	maxRecent     = 50
	maxRecentSize = 64 << 10 // of the file, in bytes
)

// used puts a profile first among the recent ones. That is a convenience: what
// goes wrong here is no reason to fail, and a list that a power cut or another
// process's write has shortened is as good, so nothing is synced or locked.
func (a *app) used(name string) {
	if name == "" || profile.IsRoleARN(name) || strings.ContainsAny(name, "\n\x00") {
		return
	}
	if home, err := os.Stat(a.home()); err == nil && !owned(home) {
		return // sudo: a file of root's would be none for the user
	}
	file, err := a.recentFile()
	if err != nil {
		a.debug("recent profiles: %s", err)
		return
	}
	text, err := readRecent(file)
	if err != nil && !missing(err) {
		a.debug("recent profiles: %s", err)
		return
	}
	if strings.HasPrefix(text, name+"\n") {
		return // the usual case, and the reason why every run can afford this
	}
	list := append([]string{name}, slices.DeleteFunc(recentNames(text), func(n string) bool { return n == name })...)
	list = list[:min(len(list), maxRecent)]
	if err := writeRecent(file, strings.Join(list, "\n")+"\n"); err != nil {
		a.debug("recent profiles: %s", err)
	}
}

// recent are the names of the profiles used last, the latest first.
func (a *app) recent() []string {
	file, err := a.recentFile()
	if err != nil {
		return nil
	}
	text, err := readRecent(file)
	if err != nil && !missing(err) {
		a.debug("recent profiles: %s", err)
	}
	return recentNames(text)
}

// recentFile is aws-runas/recent in the folder for what a program remembers
// (XDG Base Directory Specification, which ignores relative paths), and in
// %LOCALAPPDATA% on Windows. It holds a name a line.
func (a *app) recentFile() (string, error) {
	name, fallback := "XDG_STATE_HOME", filepath.Join(a.home(), ".local", "state")
	if runtime.GOOS == "windows" {
		name, fallback = "LOCALAPPDATA", filepath.Join(a.home(), "AppData", "Local")
	}
	dir := a.env.Get(name)
	if !filepath.IsAbs(dir) {
		dir = fallback
	}
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("neither the home folder nor %s is known", name)
	}
	return filepath.Join(dir, "aws-runas", "recent"), nil
}

func readRecent(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRecentSize))
	return string(text), err
}

func recentNames(text string) []string {
	var names []string
	for name := range strings.Lines(text) {
		// What has no end was cut off.
		if name, whole := strings.CutSuffix(name, "\n"); whole && name != "" {
			names = append(names, name)
		}
	}
	return names
}

func writeRecent(file, text string) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".recent-") // 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		os.Remove(f.Name())
		return err
	}
	return nil
}
