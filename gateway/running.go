package gateway

import "weir/gateway/retire"

// running is who is told which requests run: an accesslog.Follower.
type running struct {
	admission
	book *retire.Book
}

func (r running) Running(id, keyID, clientIP string, bodyBytes int64) {
	r.admission.Running(id, keyID, clientIP, bodyBytes)
	r.book.Running(id)
}

func (r running) Ended(id string) {
	r.admission.Ended(id)
	r.book.Done(id)
}

func (r running) Begun(id string) { r.book.Done(id) }
