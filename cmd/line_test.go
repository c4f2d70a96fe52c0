package cmd

import (
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

func TestReadLine(t *testing.T) {
	for _, tt := range []struct{ typed, command, args string }{
		{"", "", ""},
		{"--help", "*", "--help"},
		{"-V", "", "-V"},
		{"-v -V", "", "-v -V"},
		{"-r", "exec", "exec -r"},
		{"prod", "exec", "exec -- prod"},
		{"prod aws s3 ls", "exec", "exec -- prod aws s3 ls"},
		{"prod -- aws s3 ls", "exec", "exec -- prod -- aws s3 ls"},
		{"-- aws s3 ls", "exec", "exec -- -- aws s3 ls"},
		{"-- env", "exec", "exec -- -- env"},
		{"-E -- env", "exec", "exec -E -- -- env"},
		{"exec prod env", "exec", "exec -- prod env"},
		{"exec -E prod env", "exec", "exec -E -- prod env"},
		{"-v exec -E prod env -v", "exec", "exec -v -E -- prod env -v"},
		{"exec -- env", "exec", "exec -- -- env"},
		{"exec env", "exec", "exec -- env"},
		{"-E prod aws --version", "exec", "exec -E -- prod aws --version"},
		{"-d 8h prod make -j 4", "exec", "exec -d 8h -- prod make -j 4"},
		{"-d8h prod", "exec", "exec -d8h -- prod"},
		{"--duration 8h prod", "exec", "exec --duration 8h -- prod"},
		{"--duration=8h prod", "exec", "exec --duration=8h -- prod"},
		{"-rd 8h prod", "exec", "exec -rd 8h -- prod"},
		{"-M arn:aws:iam::1:mfa/me arn:aws:iam::1:role/r aws", "exec", "exec -M arn:aws:iam::1:mfa/me -- arn:aws:iam::1:role/r aws"},
		{"-d env env prod", "env", "env -d env prod"},
		{"-a 4h env prod -X 7", "env", "env -a 4h prod -X 7"},
		{"env prod --shell fish", "env", "env prod --shell fish"},
		{"--no-input whoami", "whoami", "whoami --no-input"},
		{"keys add prod", "keys", "keys add prod"},
		{"--keyring file keys add prod", "keys", "keys --keyring file add prod"},
		{"-", "exec", "exec -- -"},
		{"__switch bash runas --help", "__switch", "__switch -- bash runas --help"},
		{"__complete fish runas --", "__complete", "__complete -- fish runas --"},
	} {
		got := readLine(strings.Fields(tt.typed))
		want := line{command: tt.command, args: strings.Fields(tt.args), wraps: got.wraps}
		if len(got.args) == 0 {
			got.args = []string{}
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(line{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.typed, diff)
		}
		_, words, _ := strings.Cut(tt.args, "-- ")
		if wraps := tt.command == "exec" && len(strings.Fields(words)) > 1; got.wraps != wraps {
			t.Errorf("%q: wraps is %v", tt.typed, got.wraps)
		}
	}
}

// TestValueFlags holds the table of readLine against the grammar.
func TestValueFlags(t *testing.T) {
	var root struct{ globals }
	a := newApp(nil, Streams{})
	parser, err := a.parser(&root, everyCommand)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	err = kong.Visit(parser.Model, func(n kong.Visitable, next kong.Next) error {
		if f, ok := n.(*kong.Flag); ok {
			value := !f.IsBool() && !f.IsCounter()
			seen["--"+f.Name] = true
			if got := takesValue("--" + f.Name); got != value {
				t.Errorf("takesValue(--%s) = %v", f.Name, got)
			}
			if f.Short != 0 {
				seen["-"+string(f.Short)] = true
				if got := takesValue("-" + string(f.Short)); got != value {
					t.Errorf("takesValue(-%c) = %v", f.Short, got)
				}
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range valueNames {
		if !seen["--"+name] {
			t.Errorf("--%s is not in the grammar", name)
		}
	}
	for _, letter := range valueLetters {
		if !seen["-"+string(letter)] {
			t.Errorf("-%c is not in the grammar", letter)
		}
	}
}

// TestFlagNames holds the names that --explain shows against kong's.
func TestFlagNames(t *testing.T) {
	var root struct{ globals }
	parser, err := newApp(nil, Streams{}).parser(&root, "env")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, group := range parser.Model.Children[0].AllFlags(false) {
		for _, f := range group {
			known[f.Name] = true
		}
	}
	typ := reflect.TypeFor[overrides]()
	for i := range typ.NumField() {
		if name := flagName(typ.Field(i)); !known[name] {
			t.Errorf("field %s: no flag is named --%s", typ.Field(i).Name, name)
		}
	}
}

// TestOverridesAreSettings: what package profile does not know as a setting it
// refuses, so a flag for it would always fail.
func TestOverridesAreSettings(t *testing.T) {
	typ := reflect.TypeFor[overrides]()
	for i := range typ.NumField() {
		var o overrides
		field := typ.Field(i)
		if field.Type.Kind() != reflect.String || field.Tag.Get("attr") == "" {
			continue
		}
		reflect.ValueOf(&o).Elem().Field(i).SetString("1h")
		a := newApp([]string{"HOME=" + t.TempDir()}, Streams{})
		if _, err := a.resolve("default", o.flags()); err != nil && strings.Contains(err.Error(), "no setting") {
			t.Error(err)
		}
	}
}

// A name of a file need not be UTF-8, nor that of a profile.
func TestWordsAreVerbatim(t *testing.T) {
	words := []string{"caf\xe9", "ls", "", "\xff,a\\", "--", "-x", "\u2028<&>", "\t\n"}
	var exec execCmd
	var root struct{ globals }
	parser, err := newApp(nil, Streams{}).parserOf(&root, command{name: "exec", target: &exec})
	if err != nil {
		t.Fatal(err)
	}
	line := readLine(append([]string{"-X", "\xe9", "--region=\xfe,b"}, words...))
	if _, err := parser.Parse(line.args); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]string{"--"}, words...), exec.Words); diff != "" {
		t.Error(diff)
	}
	if exec.ExternalID != "\xe9" || exec.Region != "\xfe,b" {
		t.Errorf("the flags are %q and %q", exec.ExternalID, exec.Region)
	}
}
