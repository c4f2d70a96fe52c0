package metadata

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// logPause gathers the lines of busy times into one write.
	logPause = 20 * time.Millisecond
	// logBacklog is how much waits for a writer that is slow, such as a
	// terminal that is held; more is left out.
	logBacklog = 256 << 10
	// logFinal is how long the end waits for the writer.
	logFinal = time.Second
)

// requestLog writes lines without making those who log wait.
type requestLog struct {
	mu     sync.Mutex
	lines  []byte
	spare  []byte
	lost   int
	wake   chan struct{}
	once   sync.Once
	ending chan struct{}
	ended  chan struct{}
}

func newRequestLog(w io.Writer) *requestLog {
	l := &requestLog{wake: make(chan struct{}, 1), ending: make(chan struct{}), ended: make(chan struct{})}
	go l.run(w)
	return l
}

// Write implements [io.Writer] for a [log.Logger].
func (l *requestLog) Write(line []byte) (int, error) {
	l.append(func(to []byte) []byte { return append(to, line...) })
	return len(line), nil
}

func (l *requestLog) append(line func([]byte) []byte) {
	l.mu.Lock()
	if len(l.lines) < logBacklog {
		l.lines = line(l.lines)
	} else {
		l.lost++
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *requestLog) run(w io.Writer) {
	defer close(l.ended)
	pause := time.NewTimer(logPause)
	defer pause.Stop()
	for {
		select {
		case <-l.wake:
		case <-l.ending:
			l.flush(w)
			return
		}
		l.flush(w)
		pause.Reset(logPause)
		select {
		case <-pause.C:
		case <-l.ending:
		}
	}
}

func (l *requestLog) flush(w io.Writer) {
	l.mu.Lock()
	out, lost := l.lines, l.lost
	l.lines, l.lost = l.spare[:0], 0
	l.mu.Unlock()
	if lost > 0 {
		out = fmt.Appendf(out, "%d more requests, whose lines had to wait too long\n", lost)
	}
	if len(out) > 0 {
		w.Write(out) // there is nowhere else to say that it failed
	}
	l.mu.Lock()
	l.spare = out
	l.mu.Unlock()
}

func (l *requestLog) close() {
	l.once.Do(func() { close(l.ending) })
	final := time.NewTimer(logFinal)
	defer final.Stop()
	select {
	case <-l.ended:
	case <-final.C:
	}
}
