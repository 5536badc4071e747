package io.reflux.monitor.drift;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.reflux.schemas.avro.Divergence;
import io.reflux.schemas.avro.DriftReport;
import java.nio.ByteBuffer;
import java.time.Instant;
import org.apache.kafka.common.serialization.Serde;
import org.junit.jupiter.api.Test;

class WindowSumsTest {
  @Test
  void whatNoLabelTellsIsNotAZero() {
    WindowSums drawn = WindowSums.EMPTY.plus(divergence(10, 0, 10)).plus(divergence(10, 0, 0));
    DriftReport report = drawn.report("a", 0, 1);
    assertThat(report.getAcceptance()).isNaN();
    assertThat(report.getTeacherEntropy()).isEqualTo(0.5, within(1e-12));
    assertThat(report.getKlMean()).isEqualTo(0.3, within(1e-12));

    DriftReport mixed = drawn.plus(divergence(20, 20, 0)).report("a", 0, 1);
    assertThat(mixed.getAcceptance()).as("of those that tell").isEqualTo(0.75, within(1e-12));
    assertThat(mixed.getPositions()).isEqualTo(40);
  }

  @Test
  void recordsFromBeforeTellEverything() {
    DriftReport report = WindowSums.EMPTY.plus(divergence(10, -1, -1)).report("a", 0, 1);
    assertThat(report.getAcceptance()).isEqualTo(0.75, within(1e-12));
    assertThat(report.getTeacherEntropy()).isEqualTo(0.5, within(1e-12));
  }

  @Test
  void readsWindowsThatAnEarlierBuildLeftOpen() {
    Serde<WindowSums> serde = WindowSums.serde();
    WindowSums sums = new WindowSums(7, 2, 20, 6, 1, 18, 60, 200, 15, 14, 20, 9, 20);
    byte[] earlier =
        ByteBuffer.allocate(89)
            .put((byte) 1)
            .putLong(7)
            .putLong(2)
            .putLong(20)
            .putDouble(6)
            .putDouble(1)
            .putDouble(18)
            .putDouble(60)
            .putDouble(200)
            .putLong(15)
            .putDouble(14)
            .putDouble(9)
            .array();
    assertThat(serde.deserializer().deserialize("t", earlier)).isEqualTo(sums);
    byte[] current = serde.serializer().serialize("t", sums);
    assertThat(serde.deserializer().deserialize("t", current)).isEqualTo(sums);
  }

  private static Divergence divergence(int positions, int acceptanceRows, int entropyRows) {
    int accepting = acceptanceRows < 0 ? positions : acceptanceRows;
    int telling = entropyRows < 0 ? positions : entropyRows;
    return Divergence.newBuilder()
        .setRequestId("r")
        .setSegment("a")
        .setRequestedAt(Instant.EPOCH)
        .setStudentVersion(1)
        .setTeacherFingerprint("t")
        .setPositions(positions)
        .setKlSum(positions * 0.3)
        .setKlMax(1)
        .setAgreements(positions)
        .setAcceptanceSum(accepting * 0.75)
        .setAcceptanceRows(acceptanceRows)
        .setEntropySum(telling * 0.5)
        .setEntropyRows(entropyRows)
        .build();
  }
}
