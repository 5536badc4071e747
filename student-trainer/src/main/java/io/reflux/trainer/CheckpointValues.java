package io.reflux.trainer;

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

/** What checkpoints are made of, as bytes: numbers of variable length come after their length. */
final class CheckpointValues {
  /** So that no tensor is ever in memory twice. */
  private static final int FLOATS_AT_ONCE = 1 << 14;

  private CheckpointValues() {}

  static void writeModel(ModelState model, DataOutputStream out) throws IOException {
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

  static ModelState readModel(DataInputStream in) throws IOException {
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

  static void writeSequences(List<LabelledSequence> sequences, DataOutputStream out)
      throws IOException {
    out.writeInt(sequences.size());
    for (LabelledSequence sequence : sequences) {
      writeSequence(sequence, out);
    }
  }

  static List<LabelledSequence> readSequences(DataInputStream in) throws IOException {
    List<LabelledSequence> sequences = new ArrayList<>();
    for (int left = in.readInt(); left > 0; left--) {
      sequences.add(readSequence(in));
    }
    return sequences;
  }

  static void writeSequence(LabelledSequence sequence, DataOutputStream out) throws IOException {
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

  static LabelledSequence readSequence(DataInputStream in) throws IOException {
    return new LabelledSequence(
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
            : Optional.empty());
  }

  static void writeText(String text, DataOutputStream out) throws IOException {
    writeBytes(text.getBytes(StandardCharsets.UTF_8), out);
  }

  static String readText(DataInputStream in) throws IOException {
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

  static void writeInts(int[] ints, DataOutputStream out) throws IOException {
    out.writeInt(ints.length);
    for (int value : ints) {
      out.writeInt(value);
    }
  }

  static int[] readInts(DataInputStream in) throws IOException {
    int[] ints = new int[in.readInt()];
    for (int i = 0; i < ints.length; i++) {
      ints[i] = in.readInt();
    }
    return ints;
  }

  static void writeFloats(float[] floats, DataOutputStream out) throws IOException {
    out.writeInt(floats.length);
    ByteBuffer buffer = ByteBuffer.allocate(Math.min(FLOATS_AT_ONCE, floats.length) * Float.BYTES);
    for (int from = 0; from < floats.length; from += FLOATS_AT_ONCE) {
      int length = Math.min(FLOATS_AT_ONCE, floats.length - from);
      buffer.asFloatBuffer().put(floats, from, length);
      out.write(buffer.array(), 0, length * Float.BYTES);
    }
  }

  static float[] readFloats(DataInputStream in) throws IOException {
    float[] floats = new float[in.readInt()];
    ByteBuffer buffer = ByteBuffer.allocate(Math.min(FLOATS_AT_ONCE, floats.length) * Float.BYTES);
    for (int from = 0; from < floats.length; from += FLOATS_AT_ONCE) {
      int length = Math.min(FLOATS_AT_ONCE, floats.length - from);
      in.readFully(buffer.array(), 0, length * Float.BYTES);
      buffer.asFloatBuffer().get(floats, from, length);
    }
    return floats;
  }
}
