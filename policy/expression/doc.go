// Package expression compiles and evaluates the CEL of a configuration: the
// strategies that choose models and provider keys, and the ${…} of strings.
// CEL is https://github.com/google/cel-spec, as github.com/google/cel-go does
// it; what is declared here are Weir's names, types and functions.
//
// # Names
//
// A strategy sees ai.models (what this request may use, in order),
// ai.providers and ai.authors (those with such a model), the request as req
// (method, path, id, headers, body), conn.client_ip, and the client's access
// key as key. A key strategy also sees ai.keys; its ai.models is the model that
// a key is chosen for, alone. A template sees req, conn, key and secrets.
//
// req.headers is a map of lists, for a header may be sent several times:
// req.headers['x-team'][0], or 'a' in req.headers['x-team']. Names count in
// any case. Credentials are not there. req.body holds the top-level members
// of a JSON body; a member over 1 MiB is an error to read.
//
// # What is missing
//
// Metadata, members, headers, prices and quotas may be missing, and a strategy
// must not fail for it. So, beyond CEL, what is missing is null at every
// depth, and null is neither under nor over anything, holds nothing, begins
// with nothing, has size 0 and counts as false: m.metadata.tier > 2 is false
// where there is no tier. It equals null, and sorts last; what arithmetic, a
// conversion or a function of strings makes of it is missing too, but in a
// template an error. A header that was not sent is an empty list. An element
// that a list of models does not have ([0] of an empty one, random, get) is
// null, which as a result is no model; its fields are null, or empty lists.
//
// # Functions
//
// On lists of models: only, ignore (ids, aliases or provider:model, in any
// case), onlyProviders, ignoreProviders, onlyAuthors, ignoreAuthors, inRegion,
// inCountryCode, underCost, sortBy('price'), get(id), get(provider, model).
// On lists of providers and authors: only, ignore, get. On any list:
// sortBy(x, key), which is stable, random and randomize. On a provider:
// getModel(id); on it and on a model: getMetadata('a.b').
//
// inRegion and inCountryCode read metadata: region or regions, country_code or
// country_codes, each a string or a list, and the same of each entry of
// datacenters. Case does not count. underCost takes input, output, cache_read
// or cache_write (or text.input, text.output, text.input_cache_read,
// text.input_cache_write), and USD per million tokens; a price that is not
// known is under no cost.
//
// # What it refuses
//
// A name, field or overload that does not exist, a result that is no model (no
// key), a credential header, a secret or a pattern that is not a constant: all
// when it compiles, with line and column. An evaluation takes at most CostLimit
// steps; a string or a list that a call would make is bounded before it is made.
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
