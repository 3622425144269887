package expression

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// program is a compiled expression. It is used by many goroutines at once.
type program struct {
	plain interpreter.InterpretableV2
	// shared is the expression with slots and loops; nil if it has none.
	shared interpreter.InterpretableV2
	slots  []slot
	whole  *part // the shared form, if it is one part
	info   *ast.SourceInfo
}

func (l *language) program(t *tree) (*program, error) {
	plain, err := l.metered(t.AST)
	if err != nil {
		return nil, err
	}
	return &program{plain: plain, info: t.SourceInfo()}, nil
}

// share adds the shared form, if there is one.
func (p *program) share(l *language, lowered *tree, w *World) error {
	s, err := l.share(lowered, w)
	if err != nil || len(s.slots) == 0 && s.loops == 0 {
		return err
	}
	p.slots = s.slots
	if len(s.slots) == 1 {
		if of, ok := s.slots[0].(*part); ok && of.root {
			p.whole = of
		}
	}
	p.shared, err = l.metered(s.AST)
	return err
}

// metered makes a program that counts its cost.
func (l *language) metered(a *ast.AST) (interpreter.InterpretableV2, error) {
	return l.interp.NewInterpretable(a,
		interpreter.Optimize(), interpreter.CompileRegexConstants(interpreter.MatchesRegexOptimization),
		interpreter.EvalStateObserver(interpreter.EvalStateFactory(newMeter(a).start)))
}

// eval evaluates the shared form, and the plain form if that is not possible or fails.
func (p *program) eval(r *run) (ref.Val, error) {
	if p.shared != nil && r.shares(p.slots) {
		if p.whole != nil {
			return p.whole.value(r), nil
		}
		r.begin(p.slots)
		v := exec(p.shared, r)
		r.total = r.root.spent() + r.cost
		if !types.IsUnknownOrError(v) {
			return v, nil
		}
	}
	v := exec(p.plain, r)
	r.total += r.root.spent()
	if err, ok := v.(*types.Err); ok {
		return nil, p.failure(err)
	}
	return v, nil
}

// exec evaluates an expression. A panic becomes an error: cel-go panics when it is
// cancelled, and if a value cannot be the key of a map.
func exec(e interpreter.InterpretableV2, r *run) (v ref.Val) {
	r.root = nil
	return guard(func() ref.Val {
		frame, err := interpreter.NewExecutionFrame(r)
		if err != nil {
			return types.WrapErr(err)
		}
		v := e.(*interpreter.ObservableInterpretable).ObserveExec(frame, r.counts)
		frame.Close() // not after a panic: then the frame is in the middle of something
		return v
	})
}

// guard returns a panic as an error.
func guard(f func() ref.Val) (v ref.Val) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case error:
			v = types.WrapErr(p)
		default:
			v = types.NewErrFromString("panic")
		}
	}()
	return f()
}

// plainErrors are those of cel-go's messages that contain nothing of a request.
var plainErrors = map[string]bool{
	"no such conversion": true, "no such field": true, "index out of bounds": true,
	"division by zero": true, "modulus by zero": true, "integer overflow": true, "unsigned integer overflow": true,
	"duration overflow": true, "timestamp overflow": true, "divide by zero": true,
}

// failure returns the error of an evaluation with its position, without messages of
// cel-go that may contain values of the request.
func (p *program) failure(err error) error {
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) {
		return ErrCost
	}
	message := "it cannot be evaluated for this request"
	var safe safeError
	switch {
	case errors.As(err, &safe):
		message = safe.Error()
	case plainErrors[err.Error()]:
		message = err.Error()
	case strings.HasPrefix(err.Error(), "no such overload"):
		message = "no such overload" // without the function's name: the position shows it
	}
	var at *types.Err
	if errors.As(err, &at) && at.NodeID() != 0 {
		if loc := p.info.GetStartLocation(at.NodeID()); loc.Line() > 0 {
			return fmt.Errorf("%d:%d: %s", loc.Line(), loc.Column()+1, message)
		}
	}
	return errors.New(message)
}
