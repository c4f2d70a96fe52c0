package awstest

import (
	"context"
	"net/http"
	"time"
)

// Fault is something that goes wrong with a request. A fault with a Delay alone
// answers late but properly.
type Fault struct {
	Action string        // the action it strikes; empty for any
	Times  int           // how many requests it strikes; 0 for all until Reset
	Delay  time.Duration // wait this long first; ends early if the client goes
	Drop   bool          // cut the connection without an answer

	Status        int // answer with this HTTP status
	Code, Message string
}

// Throttled is the answer of an API called too often.
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
func Throttled(action string, times int) Fault {
	return Fault{Action: action, Times: times, Status: http.StatusBadRequest, Code: "Throttling", Message: "Rate exceeded"}
}

// Unavailable is a failure on AWS's side, worth a retry.
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
func Unavailable(action string, times int) Fault {
	return Fault{Action: action, Times: times, Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable", Message: "Service Unavailable"}
}

// Inject adds a fault. The oldest one that fits a request strikes it.
func (a *AWS) Inject(f Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, &f)
}

func (a *AWS) takeFault(action string) *Fault {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, f := range a.faults {
		if f.Action != "" && f.Action != action {
			continue
		}
		if f.Times == 1 {
			a.faults = append(a.faults[:i:i], a.faults[i+1:]...)
		} else if f.Times > 1 {
			f.Times--
		}
		return f
	}
	return nil
}

// wait reports whether the client is still there after the delay.
func (f *Fault) wait(ctx context.Context) bool {
	if f.Delay <= 0 {
		return true
	}
	t := time.NewTimer(f.Delay)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
