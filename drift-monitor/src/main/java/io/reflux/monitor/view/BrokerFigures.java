package io.reflux.monitor.view;

import io.reflux.monitor.view.LoopState.Lag;
import io.reflux.monitor.view.LoopState.TopicState;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.Topics;
import java.time.Clock;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ReplicaInfo;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ClusterAuthorizationException;
import org.apache.kafka.common.errors.InterruptException;

/** Asks the brokers for rates, sizes and lag. One thread at a time. */
final class BrokerFigures implements AutoCloseable {
  private static final long LIMIT_SECONDS = 10;

  private final KafkaClients clients;
  private final Clock clock;
  private final Deque<Sample> samples = new ArrayDeque<>();
  private Admin admin;
  private boolean sizesAllowed = true;

  /** End offsets and bytes of each topic at one time. */
  private record Sample(long atMillis, Map<String, Long> ends, Map<String, Long> bytes) {}

  BrokerFigures(KafkaClients clients, Clock clock) {
    this.clients = clients;
    this.clock = clock;
  }

  /**
   * @throws KafkaException when the brokers do not answer
   */
  void read(LoopFold fold) {
    if (admin == null) {
      admin = clients.admin();
    }
    Map<String, Topic<?>> byFullName = new HashMap<>();
    Topics.all().forEach(topic -> byFullName.put(topic.fullName(clients.kafka()), topic));
    Set<String> existing = get(admin.listTopics().names());
    List<String> names = byFullName.keySet().stream().filter(existing::contains).toList();
    List<TopicPartition> partitions = new ArrayList<>();
    for (TopicDescription topic : get(admin.describeTopics(names).allTopicNames()).values()) {
      topic
          .partitions()
          .forEach(p -> partitions.add(new TopicPartition(topic.name(), p.partition())));
    }
    Map<TopicPartition, Long> starts = offsets(partitions, OffsetSpec.earliest());
    Map<TopicPartition, Long> ends = offsets(partitions, OffsetSpec.latest());
    Sample now = new Sample(clock.millis(), byTopic(ends), bytes(existing));
    samples.addLast(now);
    while (samples.size() > 2
        && samples.peekFirst().atMillis() < now.atMillis() - LoopFold.RATE_WINDOW_MILLIS) {
      samples.removeFirst();
    }
    fold.brokers(topics(byTopic(starts), now), lags(byFullName, ends));
  }

  @Override
  public void close() {
    if (admin != null) {
      admin.close();
    }
  }

  private List<TopicState> topics(Map<String, Long> starts, Sample now) {
    Sample before = samples.peekFirst();
    double seconds = (now.atMillis() - before.atMillis()) / 1000.0;
    List<TopicState> topics = new ArrayList<>();
    for (Topic<?> topic : Topics.all()) {
      String name = topic.fullName(clients.kafka());
      Long end = now.ends().get(name);
      if (end == null) {
        continue;
      }
      long grown = end - before.ends().getOrDefault(name, end);
      long bytes = now.bytes().getOrDefault(name, -1L);
      long bytesBefore = before.bytes().getOrDefault(name, -1L);
      boolean sized = bytes >= bytesBefore && bytesBefore >= 0 && seconds > 0;
      topics.add(
          new TopicState(
              topic.name(),
              seconds > 0 ? grown / seconds : 0,
              end - starts.getOrDefault(name, 0L),
              bytes,
              sized ? (bytes - bytesBefore) / seconds : Double.NaN));
    }
    return topics;
  }

  private List<Lag> lags(Map<String, Topic<?>> byFullName, Map<TopicPartition, Long> ends) {
    String prefix = clients.kafka().prefix();
    Map<String, ListConsumerGroupOffsetsSpec> groups =
        get(admin.listGroups(ListGroupsOptions.forConsumerGroups()).all()).stream()
            .map(listing -> listing.groupId())
            .filter(group -> group.startsWith(prefix))
            .collect(Collectors.toMap(group -> group, group -> new ListConsumerGroupOffsetsSpec()));
    if (groups.isEmpty()) {
      return List.of();
    }
    Map<String, Map<String, Long>> byGroup = new TreeMap<>();
    get(admin.listConsumerGroupOffsets(groups).all())
        .forEach(
            (group, committed) ->
                committed.forEach(
                    (partition, offset) -> {
                      Long end = ends.get(partition);
                      if (offset != null && end != null) {
                        byGroup
                            .computeIfAbsent(group, g -> new TreeMap<>())
                            .merge(
                                partition.topic(), Math.max(0, end - offset.offset()), Long::sum);
                      }
                    }));
    List<Lag> lags = new ArrayList<>();
    byGroup.forEach(
        (group, topics) ->
            topics.forEach(
                (topic, records) ->
                    lags.add(
                        new Lag(
                            group.substring(prefix.length()),
                            byFullName.get(topic).name(),
                            records))));
    return lags;
  }

  private Map<TopicPartition, Long> offsets(List<TopicPartition> partitions, OffsetSpec spec) {
    Map<TopicPartition, OffsetSpec> wanted =
        partitions.stream().collect(Collectors.toMap(p -> p, p -> spec));
    Map<TopicPartition, Long> offsets = new HashMap<>();
    for (Map.Entry<TopicPartition, ListOffsetsResultInfo> entry :
        get(admin.listOffsets(wanted, new ListOffsetsOptions(IsolationLevel.READ_COMMITTED)).all())
            .entrySet()) {
      offsets.put(entry.getKey(), entry.getValue().offset());
    }
    return offsets;
  }

  /** Of the largest replica, so that replication does not count twice; empty when not allowed. */
  private Map<String, Long> bytes(Set<String> existing) {
    if (!sizesAllowed) {
      return Map.of();
    }
    try {
      List<Integer> brokers =
          get(admin.describeCluster().nodes()).stream().map(node -> node.id()).toList();
      Map<TopicPartition, Long> largest = new HashMap<>();
      for (Map<String, LogDirDescription> dirs :
          get(admin.describeLogDirs(brokers).allDescriptions()).values()) {
        for (LogDirDescription dir : dirs.values()) {
          for (Map.Entry<TopicPartition, ReplicaInfo> replica : dir.replicaInfos().entrySet()) {
            if (!replica.getValue().isFuture() && existing.contains(replica.getKey().topic())) {
              largest.merge(replica.getKey(), replica.getValue().size(), Math::max);
            }
          }
        }
      }
      return byTopic(largest);
    } catch (ClusterAuthorizationException e) {
      sizesAllowed = false;
      return Map.of();
    }
  }

  private static Map<String, Long> byTopic(Map<TopicPartition, Long> values) {
    Map<String, Long> sums = new HashMap<>();
    values.forEach((partition, value) -> sums.merge(partition.topic(), value, Long::sum));
    return sums;
  }

  private static <T> T get(KafkaFuture<T> future) {
    try {
      return future.get(LIMIT_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      throw new InterruptException(e);
    } catch (TimeoutException e) {
      throw new KafkaException("no answer within " + LIMIT_SECONDS + " s", e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof KafkaException failure) {
        throw failure;
      }
      throw new KafkaException(e.getCause());
    }
  }
}
