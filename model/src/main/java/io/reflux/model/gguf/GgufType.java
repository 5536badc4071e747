package io.reflux.model.gguf;

import io.reflux.model.ModelException;
import java.util.Locale;

/** How the matrices of a GGUF file are stored. Norms and biases are float32 in each. */
public enum GgufType {
  F32(0, 0, 1, 4),
  F16(1, 1, 1, 2),
  /** 32 weights of 8 bits and a float16 scale. */
  Q8_0(8, 7, 32, 34),
  /** 32 weights of 4 bits and a float16 scale; embeddings and head are Q8_0. */
  Q4_0(2, 2, 32, 18);

  private final int id;
  private final int fileType;
  private final int blockElements;
  private final int blockBytes;

  GgufType(int id, int fileType, int blockElements, int blockBytes) {
    this.id = id;
    this.fileType = fileType;
    this.blockElements = blockElements;
    this.blockBytes = blockBytes;
  }

  /**
   * Reads {@code f32}, {@code f16}, {@code q8_0} or {@code q4_0}, in any case.
   *
   * @throws ModelException if it is none of these
   */
  public static GgufType parse(String name) {
    for (GgufType type : values()) {
      if (type.toString().equals(name.strip().toLowerCase(Locale.ROOT))) {
        return type;
      }
    }
    throw new ModelException("gguf type: " + name + " (expected: f32, f16, q8_0 or q4_0)");
  }

  /** As {@link #parse} reads it. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** Of a tensor's description. */
  int id() {
    return id;
  }

  /** Of {@code general.file_type}. */
  int fileType() {
    return fileType;
  }

  /** Elements of a row that are stored together. */
  int blockElements() {
    return blockElements;
  }

  /** What those take. */
  int blockBytes() {
    return blockBytes;
  }

  /** Bytes of elements, a whole number of blocks. */
  long bytes(long elements) {
    return Math.multiplyExact(elements / blockElements, (long) blockBytes);
  }
}
