// The official Go SDK, which is the relay's code too: see ../python/peer.py for what it is told.
//
// Besides `write` and `evaluate` it does `members`: see ../python/big_segments.py.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/launchdarkly/go-sdk-common/v3/ldcontext"
	"github.com/launchdarkly/go-sdk-common/v3/ldlog"
	"github.com/launchdarkly/go-sdk-common/v3/ldreason"
	"github.com/launchdarkly/go-sdk-common/v3/ldvalue"
	consul "github.com/launchdarkly/go-server-sdk-consul/v3"
	dynamodb "github.com/launchdarkly/go-server-sdk-dynamodb/v4"
	redis "github.com/launchdarkly/go-server-sdk-redis-redigo/v3"
	ld "github.com/launchdarkly/go-server-sdk/v7"
	"github.com/launchdarkly/go-server-sdk/v7/ldcomponents"
	"github.com/launchdarkly/go-server-sdk/v7/subsystems"
)

var theDefault = ldvalue.String("the default")

type asked struct {
	Database        string
	URL             string
	Prefix          string
	Table           string
	Region          string
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string
	Stream          string
	Patience        int
	Keys            []string
	Contexts        []any
	Flag            string
}

func main() {
	input := bufio.NewReader(os.Stdin)
	line, err := input.ReadBytes('\n')
	check(err)
	var what asked
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	check(decoder.Decode(&what))
	switch os.Args[1] {
	case "write":
		write(what, input)
	case "evaluate":
		evaluate(what)
	case "members":
		members(what)
	}
}

func write(what asked, input io.Reader) {
	config := configOf(what)
	config.ServiceEndpoints.Streaming = what.Stream
	config.ServiceEndpoints.Polling = what.Stream
	// One that cannot fill its store is not ready; it says so, and keeps trying.
	client, _ := ld.MakeCustomClient("sdk-key", config, time.Duration(what.Patience)*time.Second)
	say(client.Initialized())
	_, err := io.Copy(io.Discard, input)
	check(err)
	check(client.Close())
}

func evaluate(what asked) {
	client := readerOf(what, configOf(what))
	contexts := contextsOf(what)
	state := client.AllFlagsState(contexts[0])
	if state.IsValid() {
		say(state.ToValuesMap())
	} else {
		say(nil)
	}
	for _, context := range contexts {
		seen := make([]any, 0, len(what.Keys))
		for _, key := range what.Keys {
			value, detail := variation(client, key, context)
			seen = append(seen, []any{value, detail.VariationIndex, detail.Reason})
		}
		say(seen)
	}
	check(client.Close())
}

// contextsOf decodes in two steps: the SDK's own decoder does not know pairs of surrogates, which are
// no matter of the store here.
func contextsOf(what asked) []ldcontext.Context {
	contexts := make([]ldcontext.Context, len(what.Contexts))
	for index, context := range what.Contexts {
		text, err := json.Marshal(context)
		check(err)
		check(json.Unmarshal(text, &contexts[index]))
	}
	return contexts
}

func members(what asked) {
	store, err := membersOf(what).Build(subsystems.BasicClientContext{})
	check(err)
	metadata, err := store.GetMetadata()
	check(err)
	memberships := map[string]any{}
	for _, key := range what.Keys {
		memberships[key] = membership(store, key)
	}
	config := configOf(what)
	config.BigSegments = ldcomponents.BigSegments(membersOf(what))
	client := readerOf(what, config)
	details := map[string]any{}
	for _, key := range what.Keys {
		value, detail := variation(client, what.Flag, ldcontext.New(key))
		details[key] = []any{value, detail.Reason}
	}
	var last any
	if metadata.LastUpToDate != 0 {
		last = metadata.LastUpToDate
	}
	say(map[string]any{"time": last, "memberships": memberships, "details": details})
	check(client.Close())
}

// membership asks for the references that the tests use: it cannot be asked for all.
func membership(store subsystems.BigSegmentStore, key string) any {
	hash := sha256.Sum256([]byte(key))
	found, err := store.GetMembership(base64.StdEncoding.EncodeToString(hash[:]))
	check(err)
	all := map[string]bool{}
	for _, reference := range []string{"s.g7", "s.g6", "s.g8", "s", "other.g1"} {
		if is := found.CheckMembership(reference); is.IsDefined() {
			all[reference] = is.BoolValue()
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

func variation(
	client *ld.LDClient, key string, context ldcontext.Context,
) (ldvalue.Value, ldreason.EvaluationDetail) {
	value, detail, _ := client.JSONVariationDetail(key, context, theDefault)
	return value, detail
}

func readerOf(what asked, config ld.Config) *ld.LDClient {
	config.DataSource = ldcomponents.ExternalUpdatesOnly()
	client, err := ld.MakeCustomClient("sdk-key", config, time.Second)
	check(err)
	return client
}

func configOf(what asked) ld.Config {
	store := ldcomponents.PersistentDataStore(storeOf(what)).CacheSeconds(600)
	return ld.Config{
		DataStore:        store,
		Events:           ldcomponents.NoEvents(),
		DiagnosticOptOut: true,
		Logging:          ldcomponents.Logging().MinLevel(ldlog.Error),
	}
}

func storeOf(what asked) subsystems.ComponentConfigurer[subsystems.PersistentDataStore] {
	switch what.Database {
	case "dynamodb":
		return dynamodb.DataStore(what.Table).Prefix(what.Prefix).ClientOptions(optionsOf(what))
	case "consul":
		at, err := url.Parse(what.URL)
		check(err)
		return consul.DataStore().Address(at.Host).Prefix(what.Prefix)
	default:
		return redis.DataStore().URL(what.URL).Prefix(what.Prefix)
	}
}

func membersOf(what asked) subsystems.ComponentConfigurer[subsystems.BigSegmentStore] {
	if what.Database == "dynamodb" {
		return dynamodb.BigSegmentStore(what.Table).
			Prefix(what.Prefix).
			ClientOptions(optionsOf(what))
	}
	return redis.BigSegmentStore().URL(what.URL).Prefix(what.Prefix)
}

func optionsOf(what asked) awsdynamodb.Options {
	access := credentials.NewStaticCredentialsProvider(what.AccessKeyID, what.SecretAccessKey, "")
	return awsdynamodb.Options{
		Region:           what.Region,
		Credentials:      aws.NewCredentialsCache(access),
		EndpointResolver: awsdynamodb.EndpointResolverFromURL(what.URL),
	}
}

func say(what any) {
	text, err := json.Marshal(what)
	check(err)
	fmt.Println(string(text))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
