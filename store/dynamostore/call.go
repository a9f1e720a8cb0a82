package dynamostore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	smithy "github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// errUncertain: a conditional write was lost on its way, the client repeated it,
// and by then the record was another.
var errUncertain = errors.New("the connection failed during a write, and the record has changed since: whether the write was done is not known")

// An outcome says what became of a conditional write.
type outcome struct {
	// done: the condition held. Otherwise nothing was changed.
	done bool

	// item is what is under the key, nil if there is nothing: what the
	// condition found where it did not hold, and otherwise what the write
	// returns.
	item item

	// uncertain: the client has repeated the write because an earlier attempt
	// may have failed, or may have been carried out all the same.
	uncertain bool
}

// changeName returns a new name for a write, which the item keeps. When the
// client repeats a write whose answer was lost, the condition does not hold any
// more, and this tells whose doing that is. Data and deadline would not: two
// processes that count from one to two at the same millisecond write the same.
func changeName() string { return rand.Text() }

// A change is an UpdateItem.
type change struct {
	set    string // the update
	only   string // its condition
	values item   // what both refer to
	read   bool   // whether the outcome needs the item
}

func (s *Store) update(ctx context.Context, key string, c change) (outcome, error) {
	in := &dynamodb.UpdateItemInput{
		TableName:                           &s.table,
		Key:                                 item{s.hashKey: text(key)},
		UpdateExpression:                    &c.set,
		ConditionExpression:                 &c.only,
		ExpressionAttributeNames:            s.names(c.set, c.only),
		ExpressionAttributeValues:           c.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	if c.read {
		in.ReturnValues = types.ReturnValueAllNew
	}
	return s.conditionally(ctx, key, func(opt func(*dynamodb.Options)) (item, error) {
		out, err := s.client.UpdateItem(ctx, in, opt)
		if err != nil {
			return nil, err
		}
		return out.Attributes, nil
	})
}

// put writes a whole item.
func (s *Store) put(ctx context.Context, it item, only string, values item) (outcome, error) {
	key := it[s.hashKey].(*types.AttributeValueMemberS).Value
	return s.conditionally(ctx, key, func(opt func(*dynamodb.Options)) (item, error) {
		_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName:                           &s.table,
			Item:                                it,
			ConditionExpression:                 &only,
			ExpressionAttributeNames:            s.names(only),
			ExpressionAttributeValues:           values,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		}, opt)
		return it, err
	})
}

// remove deletes an item, whatever it is where there is no condition. The
// outcome has the item that was deleted.
func (s *Store) remove(ctx context.Context, key, only string, values item) (outcome, error) {
	in := &dynamodb.DeleteItemInput{
		TableName:    &s.table,
		Key:          item{s.hashKey: text(key)},
		ReturnValues: types.ReturnValueAllOld,
	}
	if only != "" {
		in.ConditionExpression = &only
		in.ExpressionAttributeNames = s.names(only)
		in.ExpressionAttributeValues = values
		in.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	}
	return s.conditionally(ctx, key, func(opt func(*dynamodb.Options)) (item, error) {
		out, err := s.client.DeleteItem(ctx, in, opt)
		if err != nil {
			return nil, err
		}
		return out.Attributes, nil
	})
}

// names returns what the #names in expressions stand for.
func (s *Store) names(expressions ...string) map[string]string {
	names := make(map[string]string)
	all := strings.Join(expressions, " ")
	for name, attribute := range map[string]string{
		"#key": s.hashKey, "#sess": attrSess, "#expires": attrExpires,
		"#type": attrType, "#change": attrChange, "#doc": attrDoc,
	} {
		if strings.Contains(all, name) {
			names[name] = attribute
		}
	}
	return names
}

// conditionally runs a conditional write.
func (s *Store) conditionally(ctx context.Context, key string, do func(opt func(*dynamodb.Options)) (item, error)) (outcome, error) {
	var it item
	uncertain, err := s.call(ctx, func(opt func(*dynamodb.Options)) (err error) {
		it, err = do(opt)
		return err
	})
	refused, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !ok {
		return outcome{done: err == nil, item: it, uncertain: uncertain}, err
	}
	out := outcome{item: refused.Item, uncertain: uncertain}
	if out.item != nil {
		s.returnsOld.Store(true)
	} else if !s.returnsOld.Load() {
		// There is no item, or this server does not know that a refusal can
		// return it, as some emulators do not.
		out.item, err = s.get(ctx, key)
		return out, err
	}
	return out, nil
}

// call runs a command. It reports whether an attempt that was repeated may have
// been carried out.
func (s *Store) call(ctx context.Context, do func(opt func(*dynamodb.Options)) error) (uncertain bool, err error) {
	var last error // of the attempts that failed for a reason of their own
	watch := middleware.FinalizeMiddlewareFunc("PillboxAttempts", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		uncertain = uncertain || last != nil && !harmless(last)
		out, metadata, err := next.HandleFinalize(ctx, in)
		if err != nil && ctx.Err() == nil {
			last = err
		}
		return out, metadata, err
	})
	err = do(func(o *dynamodb.Options) {
		// The options are this call's own; the slice in them may not be.
		o.APIOptions = append(o.APIOptions[:len(o.APIOptions):len(o.APIOptions)], func(stack *middleware.Stack) error {
			return stack.Finalize.Insert(watch, "Retry", middleware.After)
		})
	})
	if err != nil && ctx.Err() != nil {
		// The context may have ended while the client waited for its next
		// attempt, or during that; then the reason is that of the one before.
		if last != nil {
			err = fmt.Errorf("%w; before that: %w", ctx.Err(), last)
		} else if !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
	return uncertain, err
}

// harmless reports whether an attempt that ended like this cannot have been
// carried out: the server refused it, or was not reached.
func harmless(err error) bool {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return true
	}
	if _, ok := errors.AsType[smithy.APIError](err); !ok {
		return false
	}
	e, ok := errors.AsType[*smithyhttp.ResponseError](err)
	return ok && e.HTTPStatusCode() >= http.StatusBadRequest && e.HTTPStatusCode() < http.StatusInternalServerError
}
