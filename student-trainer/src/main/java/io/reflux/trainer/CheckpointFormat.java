package io.reflux.trainer;

import io.reflux.schemas.avro.Stage;
import io.reflux.trainer.LabelledSequence.Written;
import io.reflux.trainer.nn.ModelState;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * A checkpoint as bytes, all big-endian. The bytes are trusted: {@link CheckpointStore} reads none
 * whose digest does not hold.
 */
final class CheckpointFormat {
  private static final int MAGIC = 0x52465843; // "RFXC"
  private static final int VERSION = 2;
  private static final int FLOATS_AT_ONCE = 1 << 14;

  private CheckpointFormat() {}

  static void write(Checkpoint checkpoint, DataOutputStream out) throws IOException {
    out.writeInt(MAGIC);
    out.writeInt(VERSION);
    writeText(checkpoint.studentShape(), out);
    writeText(checkpoint.teacherFingerprint(), out);
    writeText(checkpoint.tokenizerFingerprint(), out);
    writeIntake(checkpoint.intake(), out);
    StudentState state = checkpoint.training();
    out.writeLong(state.random());
    writeText(state.stage().name(), out);
    out.writeLong(state.step());
    out.writeLong(state.skippedSteps());
    out.writeLong(state.rowsTrained());
    out.writeLong(state.sequencesSeen());
    out.writeDouble(state.credit());
    out.writeDouble(state.agreement());
    out.writeDouble(state.kl());
    writeModel(state.model(), out);
    out.writeInt(state.replay().oldestRecent());
    out.writeLong(state.replay().offered());
    writeSequences(state.replay().fresh(), out);
    writeSequences(state.replay().recent(), out);
    writeSequences(state.replay().sample(), out);
    writeSequences(state.rollouts(), out);
    writeSequences(state.heldOut(), out);
  }

  static Checkpoint read(DataInputStream in) throws IOException {
    int magic = in.readInt();
    if (magic != MAGIC) {
      throw new IOException("magic 0x%08x (expected: 0x%08x)".formatted(magic, MAGIC));
    }
    int version = in.readInt();
    if (version != VERSION) {
      throw new IOException(
          "checkpoint format %d (expected: %d, as this build reads)".formatted(version, VERSION));
    }
    String shape = readText(in);
    String teacher = readText(in);
    String tokenizer = readText(in);
    return new Checkpoint(shape, teacher, tokenizer, readIntake(in), readState(in));
  }

  private static void writeIntake(IntakeState intake, DataOutputStream out) throws IOException {
    out.writeInt(intake.positions().size());
    for (Map.Entry<String, Position> position : new TreeMap<>(intake.positions()).entrySet()) {
      writeText(position.getKey(), out);
      out.writeLong(position.getValue().next());
      out.writeLong(position.getValue().readFrom());
    }
    out.writeInt(intake.softLabelsTaken());
    out.writeInt(intake.rolloutLabelsTaken());
    out.writeDouble(intake.promptCredit());
  }

  private static IntakeState readIntake(DataInputStream in) throws IOException {
    Map<String, Position> positions = new HashMap<>();
    int count = in.readInt();
    for (int i = 0; i < count; i++) {
      positions.put(readText(in), new Position(in.readLong(), in.readLong()));
    }
    return new IntakeState(positions, in.readInt(), in.readInt(), in.readDouble());
  }

  private static StudentState readState(DataInputStream in) throws IOException {
    long random = in.readLong();
    Stage stage = Stage.valueOf(readText(in));
    long step = in.readLong();
    long skippedSteps = in.readLong();
    long rowsTrained = in.readLong();
    long sequencesSeen = in.readLong();
    double credit = in.readDouble();
    double agreement = in.readDouble();
    double kl = in.readDouble();
    ModelState model = readModel(in);
    int oldestRecent = in.readInt();
    long offered = in.readLong();
    ReplayState replay =
        new ReplayState(
            readSequences(in), readSequences(in), readSequences(in), oldestRecent, offered);
    return new StudentState(
        model,
        random,
        stage,
        step,
        skippedSteps,
        rowsTrained,
        sequencesSeen,
        credit,
        agreement,
        kl,
        replay,
        readSequences(in),
        readSequences(in));
  }

  private static void writeModel(ModelState model, DataOutputStream out) throws IOException {
    writeText(model.optimizer(), out);
    writeText(model.adaptation(), out);
    out.writeLong(model.updates());
    out.writeInt(model.numbers().size());
    for (Map.Entry<String, Double> number : model.numbers().entrySet()) {
      writeText(number.getKey(), out);
      out.writeDouble(number.getValue());
    }
    out.writeInt(model.tensors().size());
    for (Map.Entry<String, float[]> tensor : model.tensors().entrySet()) {
      writeText(tensor.getKey(), out);
      writeFloats(tensor.getValue(), out);
    }
  }

  private static ModelState readModel(DataInputStream in) throws IOException {
    String optimizer = readText(in);
    String adaptation = readText(in);
    long updates = in.readLong();
    Map<String, Double> numbers = new HashMap<>();
    for (int left = in.readInt(); left > 0; left--) {
      numbers.put(readText(in), in.readDouble());
    }
    Map<String, float[]> tensors = new HashMap<>();
    for (int left = in.readInt(); left > 0; left--) {
      tensors.put(readText(in), readFloats(in));
    }
    return new ModelState(optimizer, adaptation, updates, numbers, tensors);
  }

  private static void writeSequences(List<LabelledSequence> sequences, DataOutputStream out)
      throws IOException {
    out.writeInt(sequences.size());
    for (LabelledSequence sequence : sequences) {
      writeText(sequence.requestId(), out);
      writeText(sequence.segment(), out);
      out.writeLong(sequence.eventMillis());
      out.writeFloat(sequence.weight());
      writeInts(sequence.tokenIds(), out);
      out.writeInt(sequence.promptLength());
      out.writeInt(sequence.vocabularySize());
      out.writeDouble(sequence.labelTemperature());
      writeBytes(sequence.lossMask(), out);
      writeBytes(sequence.labels(), out);
      writeInts(sequence.supportIds(), out);
      out.writeBoolean(sequence.isRollout());
      if (sequence.isRollout()) {
        Written written = sequence.written().orElseThrow();
        out.writeLong(written.studentStep());
        out.writeDouble(written.temperature());
        writeFloats(written.logprobs(), out);
      }
    }
  }

  private static List<LabelledSequence> readSequences(DataInputStream in) throws IOException {
    int count = in.readInt();
    List<LabelledSequence> sequences = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      sequences.add(
          new LabelledSequence(
              readText(in),
              readText(in),
              in.readLong(),
              in.readFloat(),
              readInts(in),
              in.readInt(),
              in.readInt(),
              in.readDouble(),
              readBytes(in),
              readBytes(in),
              readInts(in),
              in.readBoolean()
                  ? Optional.of(new Written(in.readLong(), in.readDouble(), readFloats(in)))
                  : Optional.empty()));
    }
    return sequences;
  }

  private static void writeText(String text, DataOutputStream out) throws IOException {
    writeBytes(text.getBytes(StandardCharsets.UTF_8), out);
  }

  private static String readText(DataInputStream in) throws IOException {
    return new String(readBytes(in), StandardCharsets.UTF_8);
  }

  private static void writeBytes(byte[] bytes, DataOutputStream out) throws IOException {
    out.writeInt(bytes.length);
    out.write(bytes);
  }

  private static byte[] readBytes(DataInputStream in) throws IOException {
    byte[] bytes = new byte[in.readInt()];
    in.readFully(bytes);
    return bytes;
  }

  private static void writeInts(int[] ints, DataOutputStream out) throws IOException {
    out.writeInt(ints.length);
    for (int value : ints) {
      out.writeInt(value);
    }
  }

  private static int[] readInts(DataInputStream in) throws IOException {
    int[] ints = new int[in.readInt()];
    for (int i = 0; i < ints.length; i++) {
      ints[i] = in.readInt();
    }
    return ints;
  }

  private static void writeFloats(float[] floats, DataOutputStream out) throws IOException {
    out.writeInt(floats.length);
    ByteBuffer buffer = ByteBuffer.allocate(FLOATS_AT_ONCE * Float.BYTES);
    for (int from = 0; from < floats.length; from += FLOATS_AT_ONCE) {
      int length = Math.min(FLOATS_AT_ONCE, floats.length - from);
      buffer.asFloatBuffer().put(floats, from, length);
      out.write(buffer.array(), 0, length * Float.BYTES);
    }
  }

  private static float[] readFloats(DataInputStream in) throws IOException {
    float[] floats = new float[in.readInt()];
    ByteBuffer buffer = ByteBuffer.allocate(FLOATS_AT_ONCE * Float.BYTES);
    for (int from = 0; from < floats.length; from += FLOATS_AT_ONCE) {
      int length = Math.min(FLOATS_AT_ONCE, floats.length - from);
      in.readFully(buffer.array(), 0, length * Float.BYTES);
      buffer.asFloatBuffer().get(floats, from, length);
    }
    return floats;
  }
}
