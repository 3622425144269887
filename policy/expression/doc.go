// Package expression compiles and evaluates the CEL of a configuration: the strategies
// that choose models and provider keys, and the ${…} in strings. CEL is
// https://github.com/google/cel-spec, implemented by github.com/google/cel-go. This
// package declares Weir's names, types and functions.
//
// # Names
//
// A strategy reads ai.models (the models that this request may use, in order),
// ai.providers and ai.authors (those that have such a model), the request as req
// (method, path, id, headers, body), conn.client_ip, and the client's access key as key.
// A key strategy also reads ai.keys; its ai.models contains only the model that a key is
// chosen for. A template reads req, conn, key and secrets.
//
// req.headers is a map of lists, because a header may be sent several times:
// req.headers['x-team'][0], or 'a' in req.headers['x-team']. The case of names does not
// count. Headers with credentials are not in the map. req.body has the top-level members
// of a JSON body; reading a member over 1 MiB is an error.
//
// # Missing values
//
// Metadata, members, headers, prices and quotas may be missing, and a strategy must not
// fail because of it. In an extension of CEL, a missing value is therefore null at every
// depth. Null is not less and not greater than anything, contains nothing, starts with
// nothing, has size 0 and counts as false: m.metadata.tier > 2 is false if there is no
// tier. Null equals null, and sorts last. Arithmetic, conversions and functions of strings
// return null for null in a strategy, and fail in a template. A header that was not sent
// is an empty list. A list of models returns null for an element that it does not have:
// [0] of an empty list, random, get. Null is no model in a result. Its fields are null, or
// empty lists.
//
// # Functions
//
// On lists of models: only, ignore (ids, aliases or provider:model, in any case),
// onlyProviders, ignoreProviders, onlyAuthors, ignoreAuthors, inRegion, inCountryCode,
// underCost, sortBy('price'), get(id), get(provider, model). On lists of providers and
// authors: only, ignore, get. On any list: sortBy(x, key), which is stable, random and
// randomize. On a provider: getModel(id). On a provider and a model: getMetadata('a.b').
//
// inRegion and inCountryCode read the metadata region or regions, and country_code or
// country_codes, each a string or a list, and the same fields of each entry of
// datacenters. Case does not count. underCost takes input, output, cache_read or
// cache_write (or text.input, text.output, text.input_cache_read, text.input_cache_write)
// and US dollars per million tokens; an unknown price is not under any cost.
//
// # What it refuses
//
// Compiling fails, with line and column, for an unknown name, field or overload, for a
// result that is not a model (or key), and for a credential header. It also fails if a
// secret or a pattern is not a constant. The cost of an evaluation is limited, and so is
// the size of a string or a list before a call makes it.
//
// # How it is fast
//
// A strategy is compiled twice: as it was written (the plain form), and with its
// subexpressions taken out (the shared form):
//
//   - Filters and orders of ai.models that read only each model and its numbers have the
//     same result for every request, until the numbers change. They are evaluated for
//     all models of the World when a Snapshot is made, and a request looks up its
//     candidates in the result.
//   - In any other filter, what reads only the model is evaluated with the Snapshot, and
//     what does not read the model is evaluated once for each request. cel-go evaluates
//     the rest for each model.
//
// If the shared form cannot be evaluated or ends in an error, the plain form is
// evaluated: it alone decides what an error is.
//
// It knows no Envoy, no gRPC and no HTTP.
package expression
