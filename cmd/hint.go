package cmd

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"aws-runas/keychain"
	"aws-runas/session"
	"aws-runas/session/profile"
	"aws-runas/shell"

	"github.com/alecthomas/kong"
)

// advice is what err suggests, or, where the line that was typed and the
// environment say more than its author knew, what they say.
func (a *app) advice(err error) string {
	var (
		unknown *profile.UnknownError
		config  *profile.Error
		ring    *keychain.Error
		needs   *session.Needs
		denied  *fs.PathError
		known   string
	)
	switch {
	case errors.As(err, &denied) && errors.Is(denied, fs.ErrPermission):
		known = a.permit(denied)
	case errors.As(err, &denied) && full(denied) && denied.Path != "/dev/stdout":
		known = "df -h " + a.path(existing(filepath.Dir(denied.Path)))
	case errors.As(err, &unknown):
		known = a.unknownAdvice(unknown)
	case errors.As(err, &config) && config.Flag != "":
		known = a.retyped(strings.TrimPrefix(config.Flag, "--"), "")
	case errors.As(err, &config) && config.Variable != "":
		known = "unset " + config.Variable
	case errors.As(err, &config) && config.File != "" && (config.Advice == "" || config.Line == 0):
		known = a.edit(config.Origin)
	case errors.As(err, &ring) && ring.Mistyped():
		known = a.again()
	case errors.As(err, &ring) && ring.Hint() == "" && !slices.Contains(keychain.Backends(), ring.Backend):
		if known = a.retyped("keyring", ""); known == "" && ring.Backend != "" {
			known = "unset AWSRUNAS_KEYRING"
		}
	}
	if known == "" {
		known = session.Hint(err)
	}
	if known == "" && errors.As(err, &needs) {
		known = a.signIn(needs.Profile)
	}
	if strings.HasPrefix(known, "unset RUNAS_PASSWORD") { // which --password-stdin stands for
		known = cmp.Or(a.retyped("password-stdin", ""), known)
	}
	return a.inShell(known)
}

// inShell is a hint that sets or removes variables, which is written as POSIX
// has it, for the shell that the user types it into.
func (a *app) inShell(hint string) string {
	var change shell.Change
	verb, rest, _ := strings.Cut(hint, " ")
	name, value, _ := strings.Cut(rest, "=")
	switch {
	case verb == "unset":
		change.Unset = strings.Fields(rest)
	case verb == "export" && !strings.ContainsAny(value, "$`\"\\"):
		change.Set = map[string]string{name: strings.Trim(value, "'")}
	default:
		return hint
	}
	dialect := shell.Detect(a.env.Lookup)
	statements, err := dialect.Render(change)
	if err != nil || dialect == shell.Bash || dialect == shell.Zsh || dialect == shell.POSIX {
		return hint
	}
	between := "; "
	if dialect == shell.Cmd {
		between = " & "
	}
	lines := strings.Split(strings.TrimSuffix(statements, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, ";")
	}
	return strings.Join(lines, between)
}

// misread is kong's error about a line, with the word that it is about, which
// may hold anything, in quotes. Where kong knows what was meant, the hint is the
// line with that.
func (a *app) misread(err error, line line) error {
	text, meant, _ := strings.Cut(err.Error(), ", did you mean ")
	help := strings.TrimSpace("aws-runas "+line.command) + " --help"
	if parse := (*kong.ParseError)(nil); errors.As(err, &parse) && parse.Context.Selected() != nil {
		help = parse.Context.Selected().FullPath() + " --help"
	}
	for _, what := range [...]string{"unexpected argument ", "unknown flag "} {
		word, ok := strings.CutPrefix(text, what)
		if !ok || word == "" {
			continue
		}
		text = what + strconv.Quote(word)
		meant, err := strconv.Unquote(strings.TrimSuffix(meant, "?"))
		i := slices.Index(a.args, word)
		switch {
		case word == "-P" || strings.HasPrefix(word, "--passw") && !strings.HasPrefix(word, "--password-"):
			// What follows is the password, which no message is to have.
			text += ", since others would read a password in the command line"
			help = "aws-runas password --help"
		case word == "-l" || word == "--list-roles":
			help = "aws-runas list roles"
		case word == "-D" || word == "--diagnose":
			help = "aws-runas env --explain"
		case i >= 0 && err == nil:
			help = commandLine(slices.Concat([]string{"aws-runas"}, a.args[:i], []string{meant}, a.args[i+1:]))
		}
	}
	return usage("%s", strings.TrimSuffix(text, ".")).hint("%s", help)
}

// unknownAdvice is the line as it was typed with the profile that may have been
// meant, or what is to be done where there is none to choose from.
func (a *app) unknownAdvice(e *profile.UnknownError) string {
	if e.Closest != "" {
		for i := len(a.args) - 1; i >= 0; i-- {
			if a.args[i] == e.Name {
				return commandLine(slices.Concat([]string{"aws-runas"}, a.args[:i], []string{e.Closest}, a.args[i+1:]))
			}
		}
		for _, v := range [...]string{"AWS_PROFILE", "AWSRUNAS_PROFILE", "AWS_DEFAULT_PROFILE"} {
			if a.env.marker(v) == e.Name {
				return "export " + v + "=" + word(e.Closest)
			}
		}
		return ""
	}
	config, err := a.config()
	if err != nil {
		return ""
	}
	if advice := a.noProfiles(config); advice != "" {
		return advice
	}
	if _, err := os.Stat(config.ConfigFile()); errors.Is(err, fs.ErrNotExist) {
		if v := a.names(config.ConfigFile()); v != "" {
			return "unset " + v
		}
	}
	for _, v := range [...]string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE"} {
		if a.env.Get(v) == e.Name && !slices.Contains(a.args, e.Name) {
			return "unset " + v
		}
	}
	return ""
}

// noProfiles is what to do about a config file without any.
func (a *app) noProfiles(config *profile.Config) string {
	if len(config.Names()) > 0 {
		return ""
	}
	if v := a.names(config.ConfigFile()); v != "" {
		return "unset " + v
	}
	if config.ConfigFile() == "" {
		return "export HOME=/path/to/your/home"
	}
	if runtime.GOOS == "windows" {
		return "notepad " + word(config.ConfigFile())
	}
	return "mkdir -p " + a.path(filepath.Dir(config.ConfigFile())) + " && " + a.editor() + " " + a.path(config.ConfigFile())
}

// names is the variable that a config or credentials file is named by.
func (a *app) names(file string) string {
	for _, v := range [...]string{"AWSRUNAS_CONFIG_FILE", "AWS_CONFIG_FILE", "AWSRUNAS_CREDENTIALS_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		if value := a.env.Get(v); value != "" && (value == file || a.home()+strings.TrimPrefix(value, "~") == file) {
			return v
		}
	}
	return ""
}

// edit opens a file at the line that is wrong. A file that is none at all is
// not to be edited, but it may be named by mistake.
func (a *app) edit(o profile.Origin) string {
	file := o.File
	if rest, ok := strings.CutPrefix(file, "~"); ok {
		file = a.home() + rest
	}
	if o.Line == 0 {
		if v := a.names(file); v != "" {
			return "unset " + v
		}
		return "ls -ld " + a.path(file)
	}
	editor := a.editor()
	switch base, _, _ := strings.Cut(filepath.Base(editor), " "); base {
	case "vi", "vim", "nvim", "nano", "emacs", "micro", "joe", "ne", "mg", "kak":
		editor += " +" + strconv.Itoa(o.Line)
	}
	return editor + " " + a.path(file)
}

// existing is a folder, or the next one above it that is there.
func existing(dir string) string {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// permit is what lets the user use a file or its folder again: neither is
// anybody else's business, so those outside HOME are left alone.
func (a *app) permit(e *fs.PathError) string {
	file := e.Path
	if e.Op == "mkdir" || e.Op == "remove" || e.Op == "rename" {
		file = filepath.Dir(file) // is what these change
	}
	inside := func(p string) bool { return strings.HasPrefix(p, a.home()+string(filepath.Separator)) }
	for p := file; p == file || p == filepath.Dir(file) || inside(p); p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil {
			continue // its folder may be closed to us
		}
		missing := 0o600 &^ info.Mode().Perm()
		if info.IsDir() {
			missing = 0o700 &^ info.Mode().Perm()
		}
		switch {
		case !owned(info):
			return `sudo chown "$(id -u)" ` + a.path(p)
		case missing != 0 && info.IsDir():
			return "chmod u+rwx " + a.path(p)
		case missing != 0:
			return "chmod u+rw " + a.path(p)
		}
	}
	return ""
}

func (a *app) editor() string {
	for _, v := range [...]string{"VISUAL", "EDITOR"} {
		if e := a.env.Get(v); e != "" {
			return e
		}
	}
	if runtime.GOOS == "windows" {
		return "notepad"
	}
	return "vi"
}

// path is a file as one word of a command line.
func (a *app) path(file string) string {
	if rest, ok := strings.CutPrefix(file, a.home()+string(filepath.Separator)); ok && runtime.GOOS != "windows" {
		return "~/" + word(rest) // a shell expands the tilde of ~/'a b', but not that of '~/a b'
	}
	return word(file)
}

// signIn is the line that asks a person for what a profile needs, with the
// overrides and the keyring that were typed. Where that was login already, it is
// the same line for a person.
func (a *app) signIn(name string) string {
	if readLine(a.args).command == "login" {
		b := *a
		b.args = slices.DeleteFunc(slices.Clone(a.args), func(word string) bool { return word == "--no-input" })
		return b.again()
	}
	line := []string{"aws-runas", "whoami", "--check"}
	for _, f := range a.typedFlags() {
		if f.override && f.name != "otp" || f.name == "keyring" {
			line = append(line, a.args[f.at:f.end]...)
		}
	}
	return commandLine(append(line, profileWords(name)...))
}

// profileWords are how a profile is typed behind a command: one that looks like
// a flag needs the sign that no more flags follow.
func profileWords(name string) []string {
	if strings.HasPrefix(name, "-") {
		return []string{"--", name}
	}
	return []string{name}
}

// retyped is the line that was typed with another value of a flag, or, where
// that is empty, without the flag. It is "" where the flag was not given.
func (a *app) retyped(flag, value string) string {
	line, from := []string{"aws-runas"}, 0
	for _, f := range a.typedFlags() {
		if f.name != flag {
			continue
		}
		line = append(line, a.args[from:f.at]...)
		if f.bundled != "" {
			line = append(line, f.bundled)
		}
		if value != "" {
			line = append(line, "--"+flag, value)
		}
		from = f.end
	}
	if from == 0 {
		return ""
	}
	return commandLine(append(line, a.args[from:]...))
}

// typedFlag is one of our flags with a value, in args[at:end].
type typedFlag struct {
	name     string // the long one
	bundled  string // the flags before it in one word: -r of -ra 1h
	at, end  int
	override bool // one of [overrides]
}

// typedFlags finds the flags that were typed with a value, but for those of a
// wrapped command.
func (a *app) typedFlags() (found []typedFlag) {
	end := len(a.args)
	if line := readLine(a.args); line.command == "exec" {
		end = firstWord(a.args)
		if end < len(a.args) && a.args[end] == "exec" {
			end += 1 + firstWord(a.args[end+1:])
		}
	}
	for i := 0; i < end && a.args[i] != "--"; i++ {
		arg := a.args[i]
		if len(arg) < 2 || arg[0] != '-' {
			continue
		}
		f := typedFlag{at: i, end: i + 1}
		if takesValue(arg) {
			f.end = min(i+2, len(a.args))
		}
		if long, ok := strings.CutPrefix(arg, "--"); ok {
			f.name, _, _ = strings.Cut(long, "=")
		} else if j := strings.IndexAny(arg, valueLetters); j > 0 {
			f.name = longName(arg[j])
			if j > 1 {
				f.bundled = arg[:j]
			}
		}
		f.override = isOverride(f.name)
		found = append(found, f)
		i = f.end - 1
	}
	return found
}

// again is the line that was typed, without the code, which is used up.
func (a *app) again() string {
	return cmp.Or(a.retyped("otp", ""), commandLine(append([]string{"aws-runas"}, a.args...)))
}

// envLine is the line that was typed to print credentials, as env again and
// without the code, which is used up.
func (a *app) envLine() string {
	b := *a
	if i := firstWord(a.args); readLine(a.args).command == "exec" {
		if i < len(a.args) && a.args[i] == "exec" {
			b.args = slices.Delete(slices.Clone(a.args), i, i+1)
		}
		b.args = append([]string{"env"}, b.args...)
	}
	return b.again()
}

// eachFlag calls f with every flag of exec, until f returns false.
func eachFlag(f func(name, letter string, override bool) bool) {
	for _, t := range [...]reflect.Type{reflect.TypeFor[globals](), reflect.TypeFor[overrides](), reflect.TypeFor[request](), reflect.TypeFor[execCmd]()} {
		for i := range t.NumField() {
			field := t.Field(i)
			if _, positional := field.Tag.Lookup("arg"); field.Anonymous || positional {
				continue
			}
			if !f(flagName(field), field.Tag.Get("short"), t == reflect.TypeFor[overrides]()) {
				return
			}
		}
	}
}

// longName is the name of the flag with a letter.
func longName(letter byte) (found string) {
	eachFlag(func(name, short string, _ bool) bool {
		if short == string(letter) {
			found = name
		}
		return found == ""
	})
	return found
}

func isOverride(flag string) (is bool) {
	eachFlag(func(name, _ string, override bool) bool {
		is = is || override && name == flag
		return !is
	})
	return is
}

// isFlag reports whether a word is a flag of ours, alone, with its value or
// bundled with others.
func isFlag(word string) bool {
	if long, ok := strings.CutPrefix(word, "--"); ok {
		long, _, _ = strings.Cut(long, "=")
		is := false
		eachFlag(func(name, _ string, _ bool) bool {
			is = is || name == long
			return !is
		})
		return is
	}
	return len(word) > 1 && longName(word[1]) != ""
}
