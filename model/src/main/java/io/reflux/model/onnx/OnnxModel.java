package io.reflux.model.onnx;

import java.nio.file.Path;
import java.util.Optional;

/** A graph, ready for ONNX Runtime. */
public final class OnnxModel {
  private final byte[] bytes;
  private final Path dataFile;

  OnnxModel(byte[] bytes, Path dataFile) {
    this.bytes = bytes;
    this.dataFile = dataFile;
  }

  /** The ModelProto; not a copy. */
  public byte[] bytes() {
    return bytes;
  }

  /**
   * The file that holds the large tensors, when they are not in the bytes. It must stay where it is
   * for as long as a session on this model is open; whoever asked for it deletes it.
   */
  public Optional<Path> dataFile() {
    return Optional.ofNullable(dataFile);
  }
}
