import com.launchdarkly.sdk.EvaluationDetail;
import com.launchdarkly.sdk.LDContext;
import com.launchdarkly.sdk.LDValue;
import com.launchdarkly.sdk.ObjectBuilder;
import com.launchdarkly.sdk.json.JsonSerialization;
import com.launchdarkly.sdk.server.Components;
import com.launchdarkly.sdk.server.FeatureFlagsState;
import com.launchdarkly.sdk.server.LDClient;
import com.launchdarkly.sdk.server.LDConfig;
import com.launchdarkly.sdk.server.subsystems.DataStoreTypes.DataKind;
import com.launchdarkly.sdk.server.subsystems.DataStoreTypes.FullDataSet;
import com.launchdarkly.sdk.server.subsystems.DataStoreTypes.KeyedItems;
import com.launchdarkly.sdk.server.subsystems.DataStoreTypes.SerializedItemDescriptor;
import com.launchdarkly.sdk.server.subsystems.PersistentDataStore;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisPool;
import redis.clients.jedis.Transaction;

/**
 * The official Java SDK: see ../../python/peer.py for what it is told.
 *
 * <p>The SDK reads and writes the JSON, caches, and evaluates. Its own Redis package is not published
 * where ours can be had from, so the commands are issued here, those of its version 3.2.
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
    URI redis = URI.create(asked.get("url").stringValue());
    String prefix = asked.get("prefix").stringValue();
    return new LDConfig.Builder()
        .dataStore(
            Components.persistentDataStore(context -> new RedisStore(redis, prefix)).cacheForever())
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
    List<LDContext> contexts = new ArrayList<>();
    for (LDValue context : asked.get("contexts").values()) {
      contexts.add(JsonSerialization.deserialize(context.toJsonString(), LDContext.class));
    }
    try (LDClient client = new LDClient("sdk-key", config)) {
      FeatureFlagsState state = client.allFlagsState(contexts.get(0));
      OUT.println(state.isValid() ? valuesOf(state).toJsonString() : "null");
      for (LDContext context : contexts) {
        List<String> seen = new ArrayList<>();
        for (LDValue key : asked.get("keys").values()) {
          seen.add(json(client.jsonValueVariationDetail(
              key.stringValue(), context, LDValue.of(DEFAULT))));
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

  /** What the SDK's Redis package does, command by command. */
  private static final class RedisStore implements PersistentDataStore {
    private final JedisPool pool;
    private final String prefix;

    RedisStore(URI redis, String prefix) {
      this.pool = new JedisPool(redis);
      this.prefix = prefix;
    }

    @Override
    public void init(FullDataSet<SerializedItemDescriptor> everything) {
      try (Jedis jedis = pool.getResource(); Transaction transaction = jedis.multi()) {
        for (Map.Entry<DataKind, KeyedItems<SerializedItemDescriptor>> kind :
            everything.getData()) {
          transaction.del(hashOf(kind.getKey()));
          for (Map.Entry<String, SerializedItemDescriptor> item : kind.getValue().getItems()) {
            transaction.hset(
                hashOf(kind.getKey()), item.getKey(), item.getValue().getSerializedItem());
          }
        }
        transaction.set(marker(), "");
        transaction.exec();
      }
    }

    @Override
    public boolean upsert(DataKind kind, String key, SerializedItemDescriptor item) {
      while (true) {
        try (Jedis jedis = pool.getResource()) {
          jedis.watch(hashOf(kind));
          String old = jedis.hget(hashOf(kind), key);
          if (old != null && kind.deserialize(old).getVersion() >= item.getVersion()) {
            jedis.unwatch();
            return false;
          }
          try (Transaction transaction = jedis.multi()) {
            transaction.hset(hashOf(kind), key, item.getSerializedItem());
            if (transaction.exec() != null) {
              return true;
            }
          }
        }
      }
    }

    @Override
    public SerializedItemDescriptor get(DataKind kind, String key) {
      try (Jedis jedis = pool.getResource()) {
        String found = jedis.hget(hashOf(kind), key);
        return found == null ? null : new SerializedItemDescriptor(0, false, found);
      }
    }

    @Override
    public KeyedItems<SerializedItemDescriptor> getAll(DataKind kind) {
      try (Jedis jedis = pool.getResource()) {
        List<Map.Entry<String, SerializedItemDescriptor>> items = new ArrayList<>();
        jedis
            .hgetAll(hashOf(kind))
            .forEach((key, found) ->
                items.add(Map.entry(key, new SerializedItemDescriptor(0, false, found))));
        return new KeyedItems<>(items);
      }
    }

    @Override
    public boolean isInitialized() {
      try (Jedis jedis = pool.getResource()) {
        return jedis.exists(marker());
      }
    }

    @Override
    public boolean isStoreAvailable() {
      return true;
    }

    @Override
    public void close() {
      pool.close();
    }

    private String hashOf(DataKind kind) {
      return prefix + ":" + kind.getName();
    }

    private String marker() {
      return prefix + ":$inited";
    }
  }
}
