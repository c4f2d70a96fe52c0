package profile

import "strconv"

// Origin says where a value came from. The zero value means a built-in default.
type Origin struct {
	File     string // as shown: ~/.aws/config
	Line     int    // from 1, 0 if the whole file is meant
	Section  string // the header without its brackets: "profile prod"
	Variable string // environment variable
	Flag     string // as typed: "--region"
}

// String returns ~/.aws/config:12 [profile prod], AWS_REGION, --region or default.
func (o Origin) String() string {
	switch {
	case o.Flag != "":
		return o.Flag
	case o.Variable != "":
		return o.Variable
	case o.File == "":
		return "default"
	}
	s := o.File
	if o.Line > 0 {
		s += ":" + strconv.Itoa(o.Line)
	}
	if o.Section != "" {
		s += " [" + o.Section + "]"
	}
	return s
}

// Error is any fault in the configuration: in a file, a variable or a flag.
type Error struct {
	Origin
	Message string
	Advice  string // what to do, for Hint
	Err     error  // the cause, if there is one: an [*UnknownError], what the system said
}

// UnknownError is the cause of an [Error] about a profile asked for that is not
// configured.
type UnknownError struct {
	Name    string
	Closest string // the configured name it may be a misspelling of, or ""
}

func (e *UnknownError) Error() string {
	return "profile " + strconv.Quote(e.Name) + " is not configured"
}

func (e *Error) Error() string {
	if e.Origin == (Origin{}) {
		return e.Message
	}
	return e.Origin.String() + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// Hint returns the one thing to do.
func (e *Error) Hint() string {
	switch {
	case e.Advice != "":
		return e.Advice
	case e.Line > 0:
		return "edit line " + strconv.Itoa(e.Line) + " of " + e.File
	}
	return ""
}
