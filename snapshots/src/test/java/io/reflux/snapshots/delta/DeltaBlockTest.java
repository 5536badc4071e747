package io.reflux.snapshots.delta;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DeltaBlockTest {
  private static final byte[] SHA256 = new byte[32];
  private static final int LENGTH = 40_000;

  @TempDir Path temp;

  @Property(tries = 60)
  void everyStretchComesBackBitForBit(
      @ForAll long seed,
      @ForAll @IntRange(max = 3000) int baseLength,
      @ForAll @IntRange(min = 1, max = 3000) int length,
      @ForAll @IntRange(max = 8) int noiseBits)
      throws DeltaException {
    Random random = new Random(seed);
    byte[] base = new byte[baseLength];
    random.nextBytes(base);
    byte[] stretch = new byte[length];
    for (int i = 0; i < length; i++) {
      int before = i < baseLength ? base[i] : 0;
      stretch[i] = (byte) (before + random.nextInt(1 << noiseBits));
    }
    byte[] block = DeltaBlock.encode(base, SHA256, stretch);
    assertThat(DeltaBlock.decode(base, SHA256, block)).isEqualTo(stretch);
    assertThat(DeltaBlock.encode(base, SHA256, stretch)).isEqualTo(block);
  }

  @Property(tries = 20)
  void floatsOfEverySizeComeBack(@ForAll int[] some) throws DeltaException {
    ByteBuffer before = ByteBuffer.allocate(4 * some.length + 4).order(ByteOrder.LITTLE_ENDIAN);
    ByteBuffer after = ByteBuffer.allocate(4 * some.length + 4).order(ByteOrder.LITTLE_ENDIAN);
    for (int bits : some) {
      before.putInt(bits);
      after.putInt(Float.floatToRawIntBits(-1.001f * Float.intBitsToFloat(bits)));
    }
    byte[] block = DeltaBlock.encode(before.array(), SHA256, after.array());
    assertThat(DeltaBlock.decode(before.array(), SHA256, block)).isEqualTo(after.array());
  }

  @Test
  void unchangedBytesTakeNextToNothing() {
    byte[] bytes = random(1);
    assertThat(DeltaBlock.encode(bytes, SHA256, bytes)).hasSizeLessThan(60);
  }

  @Test
  void bytesThatMoveALittleTakeAboutTheirEntropy() throws DeltaException {
    Random random = new Random(2);
    byte[] base = random(3);
    byte[] stretch = base.clone();
    int[] counts = new int[256];
    for (int i = 0; i < LENGTH; i++) {
      int difference = (int) Math.rint(0.8 * random.nextGaussian());
      stretch[i] += (byte) difference;
      counts[difference & 0xFF]++;
    }
    double bits = Arrays.stream(counts).filter(c -> c > 0).mapToDouble(this::bits).sum();
    byte[] block = DeltaBlock.encode(base, SHA256, stretch);
    assertThat((double) block.length).isBetween(0.98 * bits / 8, 1.05 * bits / 8 + 100);
    assertThat(DeltaBlock.decode(base, SHA256, block)).isEqualTo(stretch);
  }

  @Test
  void nibblesThatMoveALittleAreNotTakenForBytes() throws DeltaException {
    Random random = new Random(4);
    byte[] base = random(5);
    byte[] stretch = base.clone();
    for (int i = 0; i < LENGTH; i++) {
      int low = ((base[i] & 0xF) + (random.nextInt(8) == 0 ? 1 : 0)) & 0xF;
      int high = (((base[i] >> 4) & 0xF) + (random.nextInt(8) == 0 ? 1 : 0)) & 0xF;
      stretch[i] = (byte) ((high << 4) | low);
    }
    byte[] block = DeltaBlock.encode(base, SHA256, stretch);
    // Two numbers a byte, each of 0.54 bits and, where it moves, one for the direction.
    assertThat(block.length).isLessThan((int) (LENGTH * 0.185));
    assertThat(DeltaBlock.decode(base, SHA256, block)).isEqualTo(stretch);
  }

  @Test
  void floatsThatMoveALittleTakeLess() throws DeltaException {
    Random random = new Random(6);
    ByteBuffer base = ByteBuffer.allocate(LENGTH).order(ByteOrder.LITTLE_ENDIAN);
    ByteBuffer stretch = ByteBuffer.allocate(LENGTH).order(ByteOrder.LITTLE_ENDIAN);
    while (base.hasRemaining()) {
      float weight = (float) random.nextGaussian();
      base.putFloat(weight);
      stretch.putFloat(weight + (float) (1e-4 * random.nextGaussian()));
    }
    byte[] block = DeltaBlock.encode(base.array(), SHA256, stretch.array());
    assertThat(block.length).isLessThan((int) (LENGTH * 0.45));
    assertThat(DeltaBlock.decode(base.array(), SHA256, block)).isEqualTo(stretch.array());
  }

  @Test
  void anotherBaseIsNamed() {
    byte[] other = SHA256.clone();
    other[0] = 1;
    byte[] block = DeltaBlock.encode(random(1), other, random(2));
    assertThatThrownBy(() -> DeltaBlock.decode(random(1), SHA256, block))
        .hasMessageStartingWith("builds on a file with sha256 0100")
        .hasMessageContaining("expected: 0000");
  }

  @Test
  void whatIsNoBlockIsRefused() {
    byte[] block = DeltaBlock.encode(random(1), SHA256, random(2));
    assertThatThrownBy(() -> DeltaBlock.decode(random(1), SHA256, new byte[100]))
        .hasMessageContaining("not a block");
    byte[] newer = block.clone();
    newer[3] = 9;
    assertThatThrownBy(() -> DeltaBlock.decode(random(1), SHA256, newer))
        .hasMessage("format 9 of differences (expected: 1, all this build reads)");
    byte[] huge = block.clone();
    huge[4] = 0x7F;
    assertThatThrownBy(() -> DeltaBlock.decode(random(1), SHA256, huge))
        .hasMessageContaining("expected: 1 to 4194304");
    assertThatThrownBy(
            () -> DeltaBlock.decode(random(1), SHA256, Arrays.copyOf(block, block.length - 9)))
        .isInstanceOf(DeltaException.class);
  }

  @Test
  void changedBlocksNeverBringDownTheDecoder() {
    Random random = new Random(7);
    byte[] base = Arrays.copyOf(random(1), 2000);
    byte[] stretch = base.clone();
    stretch[77] = (byte) (stretch[77] + 3);
    byte[] block = DeltaBlock.encode(base, SHA256, stretch);
    for (int i = 0; i < 400; i++) {
      byte[] changed = block.clone();
      changed[random.nextInt(block.length)] ^= (byte) (1 << random.nextInt(8));
      assertThatCode(
              () -> {
                try {
                  DeltaBlock.decode(base, SHA256, changed);
                } catch (DeltaException e) {
                  assertThat(e.getMessage()).isNotEmpty();
                }
              })
          .doesNotThrowAnyException();
    }
  }

  @Test
  void filesOfManyStretchesComeBack() throws Exception {
    byte[] content = new byte[DeltaBlock.MAX_STRETCH_BYTES + 5000];
    new Random(8).nextBytes(content);
    Path base = Files.write(temp.resolve("base"), content);
    for (int i = 0; i < content.length; i += 1000) {
      content[i]++;
    }
    byte[] longer = Arrays.copyOf(content, content.length + 100);
    Path file = Files.write(temp.resolve("file"), longer);
    List<byte[]> blocks = new ArrayList<>();
    FileDelta.encode(base, SHA256, file, blocks::add);
    assertThat(blocks).hasSize(2);
    ByteArrayOutputStream rebuilt = new ByteArrayOutputStream();
    decode(base, blocks, longer.length, rebuilt);
    assertThat(rebuilt.toByteArray()).isEqualTo(longer);
    assertThatThrownBy(() -> decode(base, blocks, 100, new ByteArrayOutputStream()))
        .hasMessageContaining("block 0 of 2: reaches to byte 4194304 (expected: at most 100)");
  }

  private static void decode(Path base, List<byte[]> blocks, long most, ByteArrayOutputStream out)
      throws IOException, DeltaException {
    Iterator<byte[]> each = blocks.iterator();
    FileDelta.decode(base, SHA256, blocks.size(), each::next, most, out);
  }

  private double bits(int count) {
    return -count * Math.log((double) count / LENGTH) / Math.log(2);
  }

  private static byte[] random(long seed) {
    byte[] bytes = new byte[LENGTH];
    new Random(seed).nextBytes(bytes);
    return bytes;
  }
}
