package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class DeviceTest {
  @ParameterizedTest
  @CsvSource({
    "cpu, CPU, 0, cpu",
    "CUDA, CUDA, 0, cuda:0",
    "cuda:3, CUDA, 3, cuda:3",
    "' cuda:1', CUDA, 1, cuda:1",
    "tensorrt, TENSORRT, 0, tensorrt:0",
    "TensorRT:12, TENSORRT, 12, tensorrt:12"
  })
  void isReadFromItsName(String name, Device.Kind kind, int index, String shown) {
    Device device = Device.parse(name);
    assertThat(device).isEqualTo(new Device(kind, index)).hasToString(shown);
    assertThat(Device.parse(device.toString())).isEqualTo(device);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "tpu", "cpu:0", "cuda:", "cuda:-1", "cuda:1234", "cuda 1", "cuda:0,cuda:1"})
  void anythingElseIsRefusedByName(String name) {
    assertThatThrownBy(() -> Device.parse(name))
        .isInstanceOf(ModelException.class)
        .hasMessage("device: " + name + " (expected: cpu, cuda[:N] or tensorrt[:N])");
  }

  @Test
  void aListKeepsItsOrder() {
    assertThat(Device.parseList("cuda:1, cuda:0,tensorrt:0,cpu"))
        .extracting(Device::toString)
        .containsExactly("cuda:1", "cuda:0", "tensorrt:0", "cpu");
  }

  @Test
  void aDeviceGivenTwiceIsRefused() {
    assertThatThrownBy(() -> Device.parseList("cuda,cuda:1,cuda:0"))
        .isInstanceOf(ModelException.class)
        .hasMessage("device: cuda,cuda:1,cuda:0 (expected: each device once)");
    assertThatThrownBy(() -> Device.parseList("cuda:1,"))
        .hasMessage("device:  (expected: cpu, cuda[:N] or tensorrt[:N])");
  }

  @ParameterizedTest
  @EnumSource(Precision.class)
  void aPrecisionIsReadFromItsName(Precision precision) {
    assertThat(Precision.parse(precision.toString())).isEqualTo(precision);
    assertThat(Precision.parse(precision.name())).isEqualTo(precision);
  }

  @Test
  void anUnknownPrecisionIsRefused() {
    assertThatThrownBy(() -> Precision.parse("fp8"))
        .isInstanceOf(ModelException.class)
        .hasMessage("precision: fp8 (expected: auto, f32, f16 or bf16)");
  }
}
