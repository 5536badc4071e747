package io.reflux.snapshots;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.devstack.DevStack;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.DecodeException;
import io.reflux.snapshots.SnapshotException.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.LongStream;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(SharedStack.class)
class SnapshotPublisherTest {
  @TempDir Path temp;
  private Loop loop;
  private SnapshotCatalog catalog;
  private SnapshotPointers pointers;

  @BeforeEach
  void newLoop(DevStack stack) {
    loop = Loop.on(stack);
    catalog = new SnapshotCatalog(loop.clients());
    pointers = new SnapshotPointers(loop.clients());
  }

  @Test
  void publisherKilledMidwayLeavesThePointerUntouched() throws IOException {
    publish(1);
    Path next = Loop.model(temp, 900_000, 2);
    // What a publisher has done when it dies just before the commit: chunks out, manifest sent.
    Path weights = next.resolve("model.safetensors");
    try (SnapshotStore store = new KafkaStore(loop.clients())) {
      StoredObject.Place place =
          store.put(
              List.of(
                  new SnapshotStore.Content(
                      Digests.ofFile(weights), Files.size(weights), weights)));
      assertThat(place.isKnown()).isTrue();
    }
    Producer<String, byte[]> killed =
        loop.clients().transactionalProducer("killed", SnapshotPublisher.TRANSACTIONAL_ID);
    try {
      killed.initTransactions();
      killed.beginTransaction();
      SnapshotManifest manifest = catalog.find(1).orElseThrow();
      manifest.setVersion(2L);
      String topic = loop.name(Topics.SNAPSHOTS);
      ChunkSender.await(
          killed.send(
              new ProducerRecord<>(topic, "2", loop.clients().codec().encode(topic, manifest))));

      assertThat(catalog.list()).extracting(SnapshotManifest::getVersion).containsExactly(1L);
      assertThat(catalog.pointer("stable").orElseThrow().getVersion()).isEqualTo(1);
      SnapshotManifest published = publish(3);
      assertThat(published.getVersion()).isEqualTo(2);
      assertThat(catalog.list()).extracting(SnapshotManifest::getVersion).containsExactly(1L, 2L);
      assertThat(
              new SnapshotFetcher(loop.clients(), temp.resolve("cache"))
                  .fetch(2)
                  .resolve("model.safetensors"))
          .hasSameBinaryContentAs(temp.resolve("model-3/model.safetensors"));
    } finally {
      killed.close(Duration.ZERO);
    }
  }

  @Test
  void newerPublisherFencesTheOlderForGood() throws IOException {
    Path model = Loop.model(temp, 100, 1);
    try (SnapshotPublisher older = new SnapshotPublisher(loop.clients());
        SnapshotPublisher newer = new SnapshotPublisher(loop.clients())) {
      assertThat(older.publish(model, Loop.info(1), "stable").getVersion()).isEqualTo(1);
      assertThat(newer.publish(model, Loop.info(2), "stable").getVersion()).isEqualTo(2);
      for (int attempt = 0; attempt < 2; attempt++) {
        assertThatThrownBy(() -> older.publish(model, Loop.info(3), "stable"))
            .extracting(e -> ((SnapshotException) e).kind())
            .isEqualTo(Kind.FENCED);
      }
      assertThat(newer.publish(model, Loop.info(4), "stable").getVersion()).isEqualTo(3);
    }
    assertThat(catalog.pointer("stable").orElseThrow().getVersion()).isEqualTo(3);
  }

  @Test
  void racingPublishersNeverShareAVersion() throws Exception {
    Path model = Loop.model(temp, 100, 1);
    Callable<List<Long>> publishing =
        () -> {
          List<Long> versions = new ArrayList<>();
          for (int i = 0; i < 6; i++) {
            try (SnapshotPublisher publisher = new SnapshotPublisher(loop.clients())) {
              versions.add(publisher.publish(model, Loop.info(i), "stable").getVersion());
            } catch (SnapshotException e) {
              assertThat(e.kind())
                  .as(() -> e.getMessage() + ", cause: " + e.getCause())
                  .isEqualTo(Kind.FENCED);
            }
          }
          return versions;
        };
    List<Long> versions = new ArrayList<>();
    ExecutorService two = Executors.newFixedThreadPool(2);
    try {
      for (Future<List<Long>> future : two.invokeAll(List.of(publishing, publishing))) {
        versions.addAll(future.get());
      }
    } finally {
      two.shutdownNow();
    }
    List<Long> listed = catalog.list().stream().map(SnapshotManifest::getVersion).toList();
    assertThat(listed)
        .containsExactlyElementsOf(LongStream.rangeClosed(1, listed.size()).boxed().toList());
    assertThat(listed).containsAll(versions);
    assertThat(versions).doesNotHaveDuplicates().isNotEmpty();
    assertThatPointersNeverGoBack();
  }

  @Test
  void publishWithoutChannelMovesNoPointer() throws IOException {
    try (SnapshotPublisher publisher = new SnapshotPublisher(loop.clients())) {
      publisher.publish(Loop.model(temp, 100, 1), Loop.info(1));
    }
    assertThat(catalog.pointers()).isEmpty();
    assertThat(pointers.promote("canary", 1, "try it").getVersion()).isEqualTo(1);
    assertThat(catalog.pointers()).containsOnlyKeys("canary");
  }

  @Test
  void pointerGoesBackOnlyByRollback() throws IOException {
    publish(1);
    publish(2);
    publish(3);
    assertThatThrownBy(() -> pointers.promote("stable", 2, "no"))
        .hasMessageContaining("to version 2 (expected: at least the present 3")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.BACKWARDS);
    assertThatThrownBy(() -> pointers.rollback("stable", 3, "no"))
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.BACKWARDS);
    assertThatThrownBy(() -> pointers.promote("stable", 9, "no"))
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.NOT_FOUND);
    assertThatThrownBy(() -> pointers.rollback("unheard-of", 1, "no"))
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.NOT_FOUND);

    SnapshotPointer back = pointers.rollback("stable", 1, "worse on refunds");
    assertThat(back.getRollback()).isTrue();
    assertThat(catalog.pointer("stable")).contains(back);
    // A reader that was away during the rollback must not take this for an accident.
    assertThat(pointers.promote("stable", 2, "better").getRollback()).isTrue();
    assertThat(pointers.promote("stable", 3, "best").getRollback()).isFalse();
    int records = loop.records(Topics.SNAPSHOT_POINTERS).size();
    assertThat(pointers.promote("stable", 3, "again").getReason()).isEqualTo("best");
    assertThat(loop.records(Topics.SNAPSHOT_POINTERS)).hasSize(records);
  }

  @Test
  void racingPromotionsNeverMoveThePointerBack() throws Exception {
    int versions = 6;
    Path model = Loop.model(temp, 100, 1);
    try (SnapshotPublisher publisher = new SnapshotPublisher(loop.clients())) {
      for (int i = 0; i < versions; i++) {
        publisher.publish(model, Loop.info(i));
      }
    }
    List<Callable<Void>> promotions = new ArrayList<>();
    for (long version = 1; version <= versions; version++) {
      long target = version;
      promotions.add(
          () -> {
            pointers.forward("stable", catalog.require(target), "race");
            return null;
          });
    }
    ExecutorService three = Executors.newFixedThreadPool(3);
    try {
      for (Future<Void> future : three.invokeAll(promotions)) {
        future.get();
      }
    } finally {
      three.shutdownNow();
    }
    assertThatPointersNeverGoBack();
    assertThat(catalog.pointer("stable").orElseThrow().getVersion()).isEqualTo(versions);
  }

  @Test
  void unreadablePointerRaisesAndNeverFallsBack() throws IOException {
    publish(1);
    publish(2);
    loop.send(Topics.SNAPSHOT_POINTERS, "stable", new byte[] {0, 0, 0});
    assertThatThrownBy(() -> catalog.pointer("stable"))
        .hasMessageContaining("pointer of channel stable at")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.UNREADABLE_POINTER);
    assertThatThrownBy(() -> pointers.promote("stable", 2, "blind"))
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.UNREADABLE_POINTER);
    pointers.rollback("stable", 2, "repaired by hand");
    assertThat(catalog.pointer("stable").orElseThrow().getVersion()).isEqualTo(2);
  }

  @Test
  void directoryThatCannotBeReadIsNamed() {
    try (SnapshotPublisher publisher = new SnapshotPublisher(loop.clients())) {
      assertThatThrownBy(() -> publisher.publish(temp.resolve("none"), Loop.info(1), "stable"))
          .hasMessageContaining(temp.resolve("none").toString())
          .hasMessageContaining("expected: a model directory");
    }
  }

  private SnapshotManifest publish(long step) throws IOException {
    try (SnapshotPublisher publisher = new SnapshotPublisher(loop.clients())) {
      return publisher.publish(Loop.model(temp, 100, step), Loop.info(step), "stable");
    }
  }

  private void assertThatPointersNeverGoBack() {
    List<Long> moves =
        loop.records(Topics.SNAPSHOT_POINTERS).stream()
            .map(
                record -> {
                  try {
                    return loop.clients()
                        .codec()
                        .decode(record.topic(), record.value(), SnapshotPointer.class)
                        .getVersion();
                  } catch (DecodeException e) {
                    throw new AssertionError(e);
                  }
                })
            .toList();
    assertThat(moves).isSorted().isNotEmpty();
  }
}
