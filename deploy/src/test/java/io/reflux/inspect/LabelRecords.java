package io.reflux.inspect;

import io.reflux.model.tokenizer.Tokenizer;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.stream.IntStream;

/** Records of labels about "where is my order", with numbers that are easy to recognise. */
public final class LabelRecords {
  /** The bundled teacher's directory. */
  public static final Path TEACHER = Path.of("src/main/resources/teacher");

  public static final int VOCABULARY = 1024;
  public static final Tokenizer TOKENIZER = Tokenizer.load(TEACHER);

  private LabelRecords() {}

  /** A record of two response tokens, " my" and " order", after a prompt. */
  public static SoftLabels.Builder record(String requestId, LabelBlock block) {
    int[] prompt = TOKENIZER.encode("where is", false);
    int[] response = response();
    return SoftLabels.newBuilder()
        .setRequestId(requestId)
        .setOrigin(Origin.TEACHER)
        .setRequestedAt(Instant.parse("2026-01-02T03:04:05.678Z"))
        .setScoredAt(Instant.parse("2026-01-02T03:04:06.178Z"))
        .setSegment("orders")
        .setTeacherFingerprint("0123456789abcdef")
        .setTokenizerFingerprint(TOKENIZER.fingerprint())
        .setChatTemplateFingerprint("")
        .setVocabularySize(VOCABULARY)
        .setTokenIds(
            IntStream.concat(Arrays.stream(prompt), Arrays.stream(response)).boxed().toList())
        .setPromptLength(prompt.length)
        .setLabels(ByteBuffer.wrap(SoftLabelCodec.encode(block, VOCABULARY)));
  }

  public static int[] response() {
    return TOKENIZER.encode(" my order", false);
  }

  public static int id(String token) {
    int[] ids = TOKENIZER.encode(token, false);
    if (ids.length != 1) {
      throw new AssertionError(token + " is " + ids.length + " tokens");
    }
    return ids[0];
  }

  /** The likeliest three: at the first position the token itself, at the second it is outside. */
  public static TopKBlock topK() {
    return new TopKBlock(
        2,
        3,
        new int[] {response()[0], id(" the"), id(" your"), id(" the"), id(" my"), id("!")},
        new float[] {ln(0.5), ln(0.25), ln(0.125), ln(0.5), ln(0.25), ln(0.125)},
        new float[] {ln(0.125), Float.NaN},
        new float[] {ln(0.5), ln(0.0625)},
        new float[] {1.25f, Float.NaN});
  }

  public static SampledBlock sampled() {
    int my = response()[0];
    int the = id(" the");
    return SampledBlock.of(
        2,
        4,
        new int[] {my, the, my, my, the, the, the, the},
        new float[] {ln(0.5), ln(0.0625)},
        new float[] {1.25f, 0.5f});
  }

  public static int[] supportIds() {
    return new int[] {id(" the"), response()[0], id("!"), response()[1]};
  }

  public static SupportBlock support() {
    return new SupportBlock(
        2,
        2,
        SupportBlock.checksum(supportIds()),
        new float[] {ln(0.25), ln(0.5), ln(0.75), ln(0.0625)},
        new float[] {ln(0.25), ln(0.1875)},
        new float[] {ln(0.5), ln(0.0625)},
        new float[] {1.25f, 0.5f});
  }

  public static Received<SoftLabels> received(SoftLabels labels) {
    return new Received<>("soft-labels", 2, 17, 0, labels.getRequestId(), labels);
  }

  private static float ln(double p) {
    return (float) Math.log(p);
  }
}
