import com.launchdarkly.sdk.EvaluationDetail;
import com.launchdarkly.sdk.LDUser;
import com.launchdarkly.sdk.LDValue;
import com.launchdarkly.sdk.ObjectBuilder;
import com.launchdarkly.sdk.json.JsonSerialization;
import com.launchdarkly.sdk.server.Components;
import com.launchdarkly.sdk.server.FeatureFlagsState;
import com.launchdarkly.sdk.server.LDClient;
import com.launchdarkly.sdk.server.LDConfig;
import com.launchdarkly.sdk.server.integrations.Redis;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * The official Java SDK before contexts, with its own Redis package: see ../../python/peer.py for
 * what it is told. Contexts are users in the form of that time.
 */
public final class Peer {
  private static final String DEFAULT = "the default";
  private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

  private Peer() {}

  public static void main(String[] arguments) throws Exception {
    BufferedReader input =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    LDValue asked = LDValue.parse(input.readLine());
    if (arguments[0].equals("write")) {
      write(asked, input);
    } else {
      evaluate(asked);
    }
  }

  private static LDConfig.Builder configOf(LDValue asked) {
    URI uri = URI.create(asked.get("url").stringValue());
    String prefix = asked.get("prefix").stringValue();
    return new LDConfig.Builder()
        .dataStore(
            Components.persistentDataStore(Redis.dataStore().uri(uri).prefix(prefix))
                .cacheForever())
        .events(Components.noEvents())
        .diagnosticOptOut(true)
        .logging(Components.noLogging());
  }

  private static void write(LDValue asked, BufferedReader input) throws Exception {
    String stream = asked.get("stream").stringValue();
    LDConfig config =
        configOf(asked)
            .serviceEndpoints(Components.serviceEndpoints().streaming(stream).polling(stream))
            .build();
    try (LDClient client = new LDClient("sdk-key", config)) {
      OUT.println(client.isInitialized());
      while (input.readLine() != null) {}
    }
  }

  private static void evaluate(LDValue asked) throws Exception {
    LDConfig config = configOf(asked).dataSource(Components.externalUpdatesOnly()).build();
    List<LDUser> users = new ArrayList<>();
    for (LDValue user : asked.get("contexts").values()) {
      users.add(JsonSerialization.deserialize(user.toJsonString(), LDUser.class));
    }
    try (LDClient client = new LDClient("sdk-key", config)) {
      FeatureFlagsState state = client.allFlagsState(users.get(0));
      OUT.println(state.isValid() ? valuesOf(state).toJsonString() : "null");
      for (LDUser user : users) {
        List<String> seen = new ArrayList<>();
        for (LDValue key : asked.get("keys").values()) {
          seen.add(
              json(
                  client.jsonValueVariationDetail(
                      key.stringValue(), user, LDValue.of(DEFAULT))));
        }
        OUT.println("[" + String.join(",", seen) + "]");
      }
    }
  }

  private static LDValue valuesOf(FeatureFlagsState state) {
    ObjectBuilder values = LDValue.buildObject();
    state.toValuesMap().forEach(values::put);
    return values.build();
  }

  private static String json(EvaluationDetail<LDValue> detail) {
    String index = detail.isDefaultValue() ? "null" : "" + detail.getVariationIndex();
    String reason = JsonSerialization.serialize(detail.getReason());
    return "[" + detail.getValue().toJsonString() + "," + index + "," + reason + "]";
  }
}
