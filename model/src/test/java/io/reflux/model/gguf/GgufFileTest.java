package io.reflux.model.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GgufFileTest {
  @TempDir private Path folder;

  @Test
  void readsEveryTypeOfTheFormat() throws IOException {
    GgufFile file = GgufFile.open(write(handMade()));

    assertThat(file.metadata())
        .containsEntry("u8", 200L)
        .containsEntry("i8", -3L)
        .containsEntry("u16", 60_000L)
        .containsEntry("i16", -300L)
        .containsEntry("u32", 4_000_000_000L)
        .containsEntry("i32", -70_000L)
        .containsEntry("f32", 1.5)
        .containsEntry("bool", true)
        .containsEntry("string", "ünï")
        .containsEntry("array", List.of(List.of("a", "b"), List.of()))
        .containsEntry("u64", 1L << 40)
        .containsEntry("i64", -1L)
        .containsEntry("f64", 0.1);
    assertThat(file.tensors().keySet()).containsExactly("whole", "eight", "four");
    assertThat(file.tensors().get("whole").shape()).containsExactly(2L, 3L);
    assertThat(file.floats("whole")).containsExactly(1, 2, 3, 4, 5, 6);
    float[] eight = file.floats("eight");
    float[] four = file.floats("four");
    for (int i = 0; i < 32; i++) {
      assertThat(eight[i]).isEqualTo(0.5f * (i - 16));
      // Low halves of the bytes first, then high ones; 8 stands for zero.
      assertThat(four[i]).isEqualTo(-2f * ((i < 16 ? i : 15 - i % 16) - 8));
    }
  }

  @Test
  void anyDamageIsAModelExceptionOrHarmless() throws IOException {
    Path model = folder.resolve("model");
    GgufWriter.write(folder.resolve("whole.gguf"), GgufModels.LLAMA.save(model), GgufType.Q8_0);
    byte[] real = Files.readAllBytes(folder.resolve("whole.gguf"));
    byte[] small = handMade();
    Random random = new Random(5);
    int refused = 0;
    for (int i = 0; i < 1500; i++) {
      // Mostly the hand-made one: nearly all of it is header.
      byte[] damaged = (i % 10 == 0 ? real : small).clone();
      if (i % 3 == 0) {
        damaged = Arrays.copyOf(damaged, random.nextInt(damaged.length));
      } else {
        for (int flips = 1 + random.nextInt(4); flips > 0; flips--) {
          damaged[random.nextInt(Math.min(damaged.length, 4000))] = (byte) random.nextInt();
        }
      }
      Path file = write(damaged);
      try {
        GgufFile opened = GgufFile.open(file);
        opened.tensors().keySet().forEach(opened::floats);
        GgufCheckpoint.load(file);
      } catch (ModelException e) {
        assertThat(e.getMessage()).startsWith(file.toString()).doesNotContain("\n");
        refused++;
      }
    }
    assertThat(refused).isGreaterThan(1000);
  }

  @Test
  void damageIsNamed() throws IOException {
    assertRefused(new byte[] {'G', 'G', 'M', 'L', 3, 0, 0, 0}, "magic: none (expected: GGUF");
    byte[] old = handMade();
    old[4] = 1;
    assertRefused(old, "version: 1 (expected: 2 or 3, little-endian)");
    byte[] whole = handMade();
    assertRefused(
        Arrays.copyOf(whole, whole.length - 1), "four: bytes 96 to 114 (expected: within the 113");
    ByteBuffer many = ByteBuffer.wrap(handMade()).order(ByteOrder.LITTLE_ENDIAN);
    many.putLong(8, Long.MAX_VALUE);
    assertRefused(many.array(), "tensors: 9223372036854775807 (expected: at most what the");
    assertThatThrownBy(() -> GgufFile.open(folder.resolve("none")))
        .isInstanceOf(ModelException.class)
        .hasMessage(folder.resolve("none") + ": no such file");
  }

  private void assertRefused(byte[] bytes, String message) throws IOException {
    Path file = write(bytes);
    assertThatThrownBy(() -> GgufFile.open(file))
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith(file + ": " + message);
  }

  private Path write(byte[] bytes) throws IOException {
    return Files.write(folder.resolve("file.gguf"), bytes);
  }

  /** As the format's description has it, apart from the code that writes models. */
  private static byte[] handMade() {
    ByteBuffer out = ByteBuffer.allocate(2000).order(ByteOrder.LITTLE_ENDIAN);
    out.put("GGUF".getBytes(StandardCharsets.US_ASCII)).putInt(3).putLong(3).putLong(13);
    key(out, "u8", 0).put((byte) 200);
    key(out, "i8", 1).put((byte) -3);
    key(out, "u16", 2).putShort((short) 60_000);
    key(out, "i16", 3).putShort((short) -300);
    key(out, "u32", 4).putInt((int) 4_000_000_000L);
    key(out, "i32", 5).putInt(-70_000);
    key(out, "f32", 6).putFloat(1.5f);
    key(out, "bool", 7).put((byte) 1);
    text(key(out, "string", 8), "ünï");
    key(out, "array", 9).putInt(9).putLong(2).putInt(8).putLong(2);
    text(out, "a");
    text(out, "b");
    out.putInt(4).putLong(0);
    key(out, "u64", 10).putLong(1L << 40);
    key(out, "i64", 11).putLong(-1);
    key(out, "f64", 12).putDouble(0.1);
    text(out, "whole");
    out.putInt(2).putLong(3).putLong(2).putInt(0).putLong(0);
    text(out, "eight");
    out.putInt(1).putLong(32).putInt(8).putLong(32);
    text(out, "four");
    out.putInt(1).putLong(32).putInt(2).putLong(96);
    int start = (out.position() + 31) / 32 * 32;
    out.position(start);
    for (int i = 1; i <= 6; i++) {
      out.putFloat(i);
    }
    out.position(start + 32).putShort((short) 0x3800); // 0.5
    for (int i = 0; i < 32; i++) {
      out.put((byte) (i - 16));
    }
    out.position(start + 96).putShort((short) 0xc000); // -2
    for (int i = 0; i < 16; i++) {
      out.put((byte) (i | 15 - i << 4));
    }
    return Arrays.copyOf(out.array(), out.position());
  }

  private static ByteBuffer key(ByteBuffer out, String name, int type) {
    return text(out, name).putInt(type);
  }

  private static ByteBuffer text(ByteBuffer out, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    return out.putLong(bytes.length).put(bytes);
  }
}
