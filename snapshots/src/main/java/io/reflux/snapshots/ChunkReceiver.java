package io.reflux.snapshots;

import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.snapshots.SnapshotStore.Wanted;
import io.reflux.snapshots.StoredObject.Place;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.TopicPartition;

/** Reads the chunks of objects from the topic: first where they should be, then everywhere. */
final class ChunkReceiver {
  private final KafkaClients clients;
  private final String topic;
  private final ChunkGathering chunks;

  ChunkReceiver(KafkaClients clients, List<Wanted> wanted) {
    this.clients = clients;
    this.topic = Topics.SNAPSHOT_CHUNKS.fullName(clients.kafka());
    this.chunks = new ChunkGathering(clients.codec(), topic, wanted);
  }

  /** Returns when every object is there, verified and on the disk. */
  void receive() throws IOException {
    readWhereTheManifestSays();
    readEverywhereElse();
    chunks.finish();
  }

  private void readWhereTheManifestSays() {
    List<Place> places =
        chunks.missing().stream()
            .filter(Place::isKnown)
            .sorted(Comparator.comparingInt(Place::partition).thenComparingLong(Place::first))
            .toList();
    Place span = null;
    for (Place place : places) {
      if (span != null && adjoins(span, place)) {
        span = new Place(place.partition(), span.first(), Math.max(span.last(), place.last()));
      } else {
        read(span);
        span = place;
      }
    }
    read(span);
  }

  /**
   * What lies between may be a larger file that nobody asked for, or all weights since the first
   * version, whose tokenizer is still the one.
   */
  private static boolean adjoins(Place span, Place next) {
    return span.partition() == next.partition() && next.first() <= span.last() + 1;
  }

  private void read(Place span) {
    if (span != null && !chunks.complete()) {
      read(span.partition(), span.first(), span.last());
    }
  }

  /** For manifests that do not say, and chunks that were sent again later. */
  private void readEverywhereElse() {
    Map<Integer, Long> starts = new TreeMap<>();
    for (Place place : chunks.missing()) {
      if (place.isKnown()) {
        starts.merge(place.partition(), place.last() + 1, Math::min);
      } else {
        for (TopicPartition partition : TopicScan.partitions(clients, topic)) {
          starts.put(partition.partition(), 0L);
        }
      }
    }
    starts.forEach(
        (partition, start) -> {
          if (!chunks.complete()) {
            read(partition, start, Long.MAX_VALUE);
          }
        });
  }

  private void read(int partition, long from, long to) {
    TopicScan.range(
        clients,
        new TopicPartition(topic, partition),
        from,
        to,
        record -> {
          try {
            chunks.add(record);
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
          return !chunks.complete();
        });
  }
}
