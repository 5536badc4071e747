package io.reflux.trainer.nn;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.engine.PtSymbolBlock;
import ai.djl.pytorch.jni.IValueUtils;
import ai.djl.pytorch.jni.JniUtils;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * A TorchScript module that exists only as source: no parameters, only methods from tensors to a
 * tensor. The file format is PyTorch's zip archive with a pickled, empty object.
 */
public final class TorchModule implements AutoCloseable {
  /** Name that the source's class must have. */
  public static final String CLASS_NAME = "Kernels";

  private final PtSymbolBlock block;
  private final NDManager manager;

  /**
   * Compiles.
   *
   * @param source of {@code code/__torch__.py}
   * @throws ai.djl.engine.EngineException with TorchScript's own message if it does not compile
   */
  public TorchModule(NDManager manager, String source) {
    this.manager = manager;
    try (ByteArrayInputStream archive = new ByteArrayInputStream(archive(source))) {
      this.block = JniUtils.loadModule((PtNDManager) manager, archive, false, false);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Runs a method with autograd allowed.
   *
   * @param arguments in the method's order; each gets a name as a side effect
   * @return the tensor it returns, for the caller to close
   */
  public NDArray call(String method, NDArray... arguments) {
    // A dummy array of this name is how DJL lets a caller choose the method.
    try (NDArray choice = manager.zeros(new Shape(1))) {
      NDList inputs = new NDList(arguments.length + 1);
      for (int i = 0; i < arguments.length; i++) {
        arguments[i].setName("a" + i);
        inputs.add(arguments[i]);
      }
      choice.setName("module_method:" + method);
      inputs.add(choice);
      return IValueUtils.forward(block, inputs, true).singletonOrThrow();
    }
  }

  @Override
  public void close() {
    block.close();
  }

  private static byte[] archive(String source) throws IOException {
    // pickle protocol 2: GLOBAL class, EMPTY_TUPLE, NEWOBJ, a dictionary of attributes, BUILD,
    // STOP.
    byte[] object =
        concat(
            new byte[] {(byte) 0x80, 2},
            ("c__torch__\n" + CLASS_NAME + "\n").getBytes(StandardCharsets.US_ASCII),
            new byte[] {')', (byte) 0x81, '}', 'X', 8, 0, 0, 0},
            "training".getBytes(StandardCharsets.US_ASCII),
            new byte[] {(byte) 0x88, 's', 'b', '.'});
    byte[] noConstants = {(byte) 0x80, 2, ')', '.'};
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
      put(zip, "kernels/data.pkl", object);
      put(zip, "kernels/constants.pkl", noConstants);
      put(zip, "kernels/version", "10\n".getBytes(StandardCharsets.US_ASCII));
      put(zip, "kernels/code/__torch__.py", source.getBytes(StandardCharsets.UTF_8));
    }
    return bytes.toByteArray();
  }

  private static void put(ZipOutputStream zip, String name, byte[] content) throws IOException {
    zip.putNextEntry(new ZipEntry(name));
    zip.write(content);
    zip.closeEntry();
  }

  private static byte[] concat(byte[]... parts) {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      all.writeBytes(part);
    }
    return all.toByteArray();
  }
}
