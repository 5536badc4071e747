package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.nn.ModelState;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Random;
import org.junit.jupiter.api.Test;

class CheckpointFormatTest {
  private static final int STEP = 12;

  /** More than is written at once. */
  private static final int PARAMETERS = 40_000;

  @Test
  void readsWhatItWrote() throws IOException {
    Checkpoint checkpoint = CheckpointSamples.of(STEP, 5);
    assertSame(read(bytes(checkpoint)), checkpoint);
    Checkpoint first = CheckpointSamples.of(STEP, checkpoint.training().model(), null);
    assertSame(read(bytes(first)), first);
    byte[] large = bytes(CheckpointSamples.of(STEP, PARAMETERS));
    assertThat(bytes(read(large))).isEqualTo(large);
  }

  @Test
  void aGoodStateThatIsTheCheckpointsOwnTakesNoRoom() throws IOException {
    ModelState model = CheckpointSamples.model(new Random(1), STEP, PARAMETERS);
    Checkpoint same = CheckpointSamples.of(STEP, model, new StudentState.Good(STEP, model));
    Checkpoint none = CheckpointSamples.of(STEP, model, null);
    assertThat(bytes(same).length).isEqualTo(bytes(none).length + Long.BYTES);
    StudentState read = read(bytes(same)).training();
    assertThat(read.good().orElseThrow().model()).isSameAs(read.model());
  }

  @Test
  void formatTwoStaysReadable() throws IOException {
    byte[] kept;
    try (InputStream in = getClass().getResourceAsStream("checkpoint-format-2.bin")) {
      kept = in.readAllBytes();
    }
    Checkpoint checkpoint = CheckpointSamples.of(STEP, 5);
    assertSame(read(kept), checkpoint);
    assertThat(bytes(checkpoint)).isEqualTo(kept);
  }

  @Test
  void refusesAnotherFormatInOneLine() throws IOException {
    byte[] bytes = bytes(CheckpointSamples.of(STEP, 5));
    bytes[7] = 1;
    // Not an IOException, which would have the file set aside as torn.
    assertThatThrownBy(() -> read(bytes))
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining("checkpoint format 1 (expected: 2")
        .hasMessageNotContaining("\n");
    bytes[0] = 0;
    assertThatThrownBy(() -> read(bytes))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("magic");
  }

  private static void assertSame(Checkpoint read, Checkpoint written) {
    assertThat(read)
        .usingRecursiveComparison()
        // By default no NaN is another.
        .withEqualsForType(Double::equals, Double.class)
        .isEqualTo(written);
  }

  private static byte[] bytes(Checkpoint checkpoint) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    CheckpointFormat.write(checkpoint, new DataOutputStream(bytes));
    return bytes.toByteArray();
  }

  private static Checkpoint read(byte[] bytes) throws IOException {
    return CheckpointFormat.read(new DataInputStream(new ByteArrayInputStream(bytes)));
  }
}
