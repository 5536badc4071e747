package io.reflux.trainer.nn;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDManager;
import ai.djl.pytorch.jni.JniUtils;
import java.nio.file.Path;

/**
 * Starts libtorch inside this JVM. DJL reads its settings from the environment or from system
 * properties; the properties are set here, so that an embedding program needs neither.
 */
public final class Torch {
  private static final String CACHE_DIR = "DJL_CACHE_DIR";

  private Torch() {}

  /**
   * Loads the engine; later calls do nothing. Native libraries are unpacked below {@code cacheDir}
   * once (about 450 MB) and nothing is ever downloaded.
   *
   * @param cacheDir used unless {@code DJL_CACHE_DIR} is set in the environment or as a property
   */
  public static void start(Path cacheDir) {
    if (System.getenv(CACHE_DIR) == null) {
      setIfAbsent(CACHE_DIR, cacheDir.toAbsolutePath().toString());
    }
    start();
  }

  /** {@link #start(Path)} with DJL's own cache folder. */
  public static void start() {
    // Else DJL probes a cloud metadata address, and its vendor's telemetry.
    setIfAbsent("ai.djl.offline", "true");
    setIfAbsent("OPT_OUT_TRACKING", "true");
    setIfAbsent("ai.djl.pytorch.num_interop_threads", "1");
    setIfAbsent("ai.djl.pytorch.num_threads", "1");
    setIfAbsent("ai.djl.pytorch.graph_optimizer", "false");
    Engine.getEngine("PyTorch");
  }

  /** Version of libtorch, for reports. */
  public static String version() {
    start();
    return Engine.getEngine("PyTorch").getVersion();
  }

  /**
   * A room for tensors on a device, with nothing in it.
   *
   * @param device {@code cpu} or {@code cuda[:N]}
   */
  public static NDManager newManager(String device) {
    start();
    return Engine.getEngine("PyTorch").newBaseManager(Devices.find(device));
  }

  /**
   * Makes the calling thread fit to train: gradient mode, the graph optimiser (which would compile
   * anew for every batch shape) and OpenMP's thread count all belong to the thread.
   */
  public static void prepareThread(int threads) {
    JniUtils.setGradMode(true);
    JniUtils.setGraphExecutorOptimize(false);
    JniUtils.setNumThreads(threads);
  }

  private static void setIfAbsent(String property, String value) {
    if (System.getProperty(property) == null) {
      System.setProperty(property, value);
    }
  }
}
