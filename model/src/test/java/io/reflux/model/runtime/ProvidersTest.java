package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtProvider;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import org.junit.jupiter.api.Test;

class ProvidersTest {
  private static final SmallModels MODEL = SmallModels.QWEN2_WITH_BIAS;

  @Test
  void aBuildWithoutTheProviderNamesTheArtifact() {
    assumeThat(OrtEnvironment.getAvailableProviders()).doesNotContain(OrtProvider.CUDA);
    assertThatThrownBy(() -> open("cuda:1"))
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith(
            "device: cuda:1 (expected: cpu, this build has no CUDA; REFLUX_MAVEN_ARGS=-Pcuda ./reflux")
        .hasMessageContaining("com.microsoft.onnxruntime:onnxruntime_gpu 1.");
    assertThatThrownBy(() -> open("tensorrt"))
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith("device: tensorrt:0 (expected: cpu, this build has no TensorRT; ");
  }

  /** For {@code ./mvnw -Pcuda} on a machine without a GPU, and with one. */
  @Test
  void aBuildWithTheProviderRunsItOrNamesWhatIsMissing() {
    assumeThat(OrtEnvironment.getAvailableProviders()).contains(OrtProvider.CUDA);
    for (String device : new String[] {"cuda:0", "tensorrt:0"}) {
      try (Scorer scorer = open(device)) {
        assertThat(scorer.k()).isEqualTo(3);
      } catch (ModelException e) {
        assertThat(e)
            .hasMessageMatching(
                "device: " + device + ": (\\S+ is missing|CUDA says: .+) \\(expected: .+\\)");
      }
    }
  }

  @Test
  void aMissingLibraryIsNamedWithWhatItBelongsTo() {
    assertRefused(
        loadFailure("cuda", "libcublasLt.so.12"),
        "device: cuda:2: libcublasLt.so.12 is missing (expected: CUDA 12 where the loader looks,"
            + " see LD_LIBRARY_PATH)");
    assertRefused(
        loadFailure("cuda", "libcuda.so.1"),
        "device: cuda:2: libcuda.so.1 is missing (expected: NVIDIA's driver where the loader looks,"
            + " see LD_LIBRARY_PATH)");
    assertRefused(
        loadFailure("tensorrt", "libnvinfer.so.10"),
        "device: cuda:2: libnvinfer.so.10 is missing (expected: TensorRT 10 where the loader looks,"
            + " see LD_LIBRARY_PATH)");
    assertRefused(
        loadFailure("tensorrt", "libcudnn.so.9"),
        "device: cuda:2: libcudnn.so.9 is missing (expected: cuDNN 9 where the loader looks, see"
            + " LD_LIBRARY_PATH)");
  }

  @Test
  void aDeviceThatIsNotThereIsNamed() {
    assertRefused(
        "cuda_execution_provider_info.cc:59 [ONNXRuntimeError] : 1 : FAIL :"
            + " provider_options_utils.h:151 Parse Failed to parse provider option \"device_id\":"
            + " Invalid device ID: 2, must be between 0 (inclusive) and 1 (exclusive).",
        "device: cuda:2 is not there (expected: the number of one that nvidia-smi -L lists)");
    assertRefused(
        "CUDA failure 101: invalid device ordinal ; GPU=0 ; hostname=h ; expr=cudaSetDevice(2);",
        "device: cuda:2 is not there (expected: the number of one that nvidia-smi -L lists)");
  }

  @Test
  void whatTheDriverSaysIsPassedOn() {
    assertRefused(
        "cuda_call.cc:123 [with ERRTYPE = cudaError] CUDA failure 100: no CUDA-capable device is"
            + " detected ; GPU=-1 ; hostname=h ; file=f.cc ; line=66 ;"
            + " expr=cudaGetDeviceCount(&num_devices);",
        "device: cuda:2: CUDA says: no CUDA-capable device is detected (expected: a GPU with room"
            + " and a driver for CUDA 12, see nvidia-smi)");
  }

  @Test
  void anythingElseIsKeptToOneLine() {
    assertRefused(
        "something\n  new",
        "device: cuda:2: cannot be used: Error code - ORT_FAIL - message: something new");
  }

  private static Scorer open(String device) {
    Weights weights = RandomModel.variedWeights(MODEL.config(), 7);
    return new Scorer(MODEL.config(), weights, 3, RuntimeOptions.of(1, device));
  }

  /** As ONNX Runtime 1.29 puts it. */
  private static String loadFailure(String provider, String library) {
    return "/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:1988"
        + " onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 :"
        + " FAIL : Failed to load library /tmp/onnxruntime-java1/libonnxruntime_providers_"
        + provider
        + ".so with error: "
        + library
        + ": cannot open shared object file: No such file or directory\n";
  }

  private static void assertRefused(String message, String line) {
    Device device = new Device(Device.Kind.CUDA, 2);
    OrtException cause = new OrtException(OrtException.OrtErrorCode.ORT_FAIL, message);
    assertThat(Providers.refusal(device, cause)).hasMessage(line).hasCause(cause);
  }
}
