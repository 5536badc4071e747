package io.reflux.model.runtime;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.onnx.GraphOptions;
import io.reflux.model.onnx.OnnxModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Opens sessions the way Reflux wants them, and turns the runtime's errors into one line. */
final class OrtSessions {
  private static final Logger log = LoggerFactory.getLogger(OrtSessions.class);

  private OrtSessions() {}

  /** The runtime; one a process, never closed. */
  static OrtEnvironment environment() {
    return Environment.INSTANCE;
  }

  /** Made on first use. */
  private static final class Environment {
    // ONNX Runtime 1.29 copies the process's command line to the stack when it starts, and ends the
    // process when a long class path there does not fit into what an ordinary thread has left.
    private static final long STACK_BYTES = 64L << 20;

    private static final OrtEnvironment INSTANCE = startEnvironment();
  }

  // Not in Environment: its threads would wait for the class that waits for them.
  private static OrtEnvironment startEnvironment() {
    AtomicReference<OrtEnvironment> made = new AtomicReference<>();
    AtomicReference<Throwable> failure = new AtomicReference<>();
    Thread thread =
        new Thread(
            null,
            // Its errors reach us as exceptions; printed as well they would spoil a terminal.
            () -> made.set(OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL)),
            "onnxruntime-start",
            Environment.STACK_BYTES);
    thread.setUncaughtExceptionHandler((t, e) -> failure.set(e));
    thread.start();
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    if (failure.get() != null) {
      throw new ModelException(
          "ONNX Runtime: its native library does not load: " + failure.get(), failure.get());
    }
    return made.get();
  }

  /**
   * Writes a graph and opens a session on it.
   *
   * @param weights that the graph will hold; large ones go by a temporary file, which is deleted
   *     when the session is closed
   */
  static OpenSession open(
      Weights weights, Function<GraphOptions, OnnxModel> graph, RuntimeOptions options) {
    Path directory = null;
    GraphOptions inMemory = GraphOptions.inMemory().withType(options.elementType(weights));
    OrtSession session = null;
    if (inMemory.type() == DType.F16 && options.device().kind() == Device.Kind.CPU) {
      log.warn("precision f16 on cpu: about a thousand times slower than f32");
    }
    // First the device, which may be missing: a graph can take minutes to write.
    try (OrtSession.SessionOptions settings = settings(options)) {
      if (GraphOptions.weightBytes(weights) <= inMemory.dataThresholdBytes()) {
        session = open(graph.apply(inMemory), settings, options.device());
      } else {
        directory = temporaryDirectory();
        session = open(graph.apply(inMemory.withDataIn(directory)), settings, options.device());
      }
      return new OpenSession(session, directory);
    } finally {
      if (session == null) {
        OpenSession.deleteDirectory(directory);
      }
    }
  }

  /** Opens a session on a graph whose data file, if any, the caller looks after. */
  static OrtSession open(OnnxModel model, RuntimeOptions options) {
    try (OrtSession.SessionOptions settings = settings(options)) {
      return open(model, settings, options.device());
    }
  }

  /** Opens a session on a graph's file. */
  static OrtSession open(Path file, RuntimeOptions options) {
    try (OrtSession.SessionOptions settings = settings(options)) {
      return environment().createSession(file.toString(), settings);
    } catch (OrtException e) {
      throw failure(file + ": ONNX Runtime refuses it", e);
    }
  }

  private static OrtSession open(
      OnnxModel model, OrtSession.SessionOptions settings, Device device) {
    try {
      if (model.dataFile().isPresent()) {
        settings.addConfigEntry(
            "session.model_external_initializers_file_folder_path",
            model.dataFile().get().toAbsolutePath().getParent().toString());
      }
      return environment().createSession(model.bytes(), settings);
    } catch (OrtException e) {
      throw Providers.isAboutDevice(e)
          ? Providers.refusal(device, e)
          : failure("model: ONNX Runtime refuses it", e);
    }
  }

  /** For the caller to close. */
  private static OrtSession.SessionOptions settings(RuntimeOptions options) {
    OrtSession.SessionOptions settings = new OrtSession.SessionOptions();
    boolean complete = false;
    try {
      settings.setIntraOpNumThreads(options.threads());
      settings.setInterOpNumThreads(1);
      // A spinning pool takes a whole core from the rest of the process between two runs.
      settings.addConfigEntry("session.intra_op.allow_spinning", "0");
      settings.addConfigEntry("session.inter_op.allow_spinning", "0");
      // Weights of 8-bit floats are widened once, when they are loaded, and not at every run.
      settings.addConfigEntry("session.disable_quant_qdq", "1");
      // Shapes differ from run to run, and a memory plan would be kept for each of them.
      settings.setMemoryPatternOptimization(false);
      Providers.add(settings, options.device());
      complete = true;
      return settings;
    } catch (OrtException e) {
      throw failure("session: ONNX Runtime refuses its settings", e);
    } finally {
      if (!complete) {
        settings.close();
      }
    }
  }

  /** The runtime's exception in one line. */
  static ModelException failure(String what, OrtException cause) {
    String message = cause.getMessage() == null ? cause.getCode().name() : cause.getMessage();
    return new ModelException(what + ": " + message.replaceAll("\\s+", " ").strip(), cause);
  }

  private static Path temporaryDirectory() {
    try {
      return Files.createTempDirectory("reflux-graph-");
    } catch (IOException e) {
      throw new ModelException("temporary directory: cannot be created: " + e.getMessage(), e);
    }
  }
}
