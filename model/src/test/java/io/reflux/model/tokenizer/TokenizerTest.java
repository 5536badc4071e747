package io.reflux.model.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenizerTest {
  @TempDir Path directory;

  @Test
  void truncationAndPaddingOfTheFileAreLeftOut() throws IOException {
    BpeTrainer.train(List.of("where is my card").iterator(), 300, List.of("<|end|>"))
        .write(directory, BpeVocabulary.Roles.endingWith("<|end|>"));
    Path file = directory.resolve("tokenizer.json");
    String plain = Files.readString(file);
    String text = "where is my card ".repeat(200);
    int[] ids = Tokenizer.load(directory).encode(text, true);
    Files.writeString(
        file,
        plain
            .replace(
                "\"truncation\" : null",
                "\"truncation\":{\"direction\":\"Right\",\"max_length\":4,\"stride\":0,"
                    + "\"strategy\":\"LongestFirst\"}")
            .replace(
                "\"padding\" : null",
                "\"padding\":{\"strategy\":{\"Fixed\":2000},\"direction\":\"Right\","
                    + "\"pad_to_multiple_of\":null,\"pad_id\":0,\"pad_type_id\":0,"
                    + "\"pad_token\":\"<|end|>\"}"));

    assertThat(Files.readString(file)).contains("LongestFirst", "Fixed");
    assertThat(ids.length).isGreaterThan(512);
    assertThat(Tokenizer.load(directory).encode(text, true)).isEqualTo(ids);
  }

  /** The way of Llama 2: spaces as U+2581, one in front, unknown characters as bytes. */
  @Test
  void sentencePieceStyleStreamsSpacesAndBytes() throws IOException {
    Tokenizer tokenizer = sentencePieceStyle();

    for (String text : List.of("hi there", " hi", "hi 🦜 é!", "there  hi", "é")) {
      int[] ids = tokenizer.encode(text, true);
      assertThat(ids[0]).as("BOS").isEqualTo(1);
      assertThat(tokenizer.decode(ids, true)).isEqualTo(text);
      assertThat(tokenizer.decode(ids, false)).startsWith("<s>");

      TokenStream stream = tokenizer.stream();
      StringBuilder streamed = new StringBuilder();
      for (int id : ids) {
        String piece = stream.push(id);
        assertThat(piece).doesNotContain("\uFFFD");
        streamed.append(piece);
      }
      assertThat(streamed.append(stream.finish())).hasToString(text);
    }
    assertThat(tokenizer.vocabularySize()).isEqualTo(3 + 256 + 12);
  }

  @Test
  void idsBeyondTheVocabularyHaveNoText() throws IOException {
    Tokenizer tokenizer = sentencePieceStyle();

    assertThat(tokenizer.decode(new int[] {100_000, 2}, true)).isEmpty();
  }

  /** Joined they are the text, also where a character lies over several tokens. */
  @Test
  void bytesOfTokensJoinToTheText() throws IOException {
    BpeTrainer.train(List.of("where is my card").iterator(), 300, List.of("<|énd|>"))
        .write(directory, BpeVocabulary.Roles.endingWith("<|énd|>"));
    Tokenizer byteLevel = Tokenizer.load(directory);
    String text = "where's my 🦜\tcard, é?\n<|énd|>";
    assertThat(joined(byteLevel, byteLevel.encode(text, false))).isEqualTo(text);
    int[] parrot = byteLevel.encode("🦜", false);
    assertThat(parrot).hasSizeGreaterThan(1);
    assertThat(byteLevel.bytes().of(parrot[0]).orElseThrow()[0]).isEqualTo((byte) 0xF0);
    assertThat(byteLevel.bytes().of(100_000)).isEmpty();

    Tokenizer sentencePiece = sentencePieceStyle();
    int[] ids = sentencePiece.encode("hi there 🦜", true);
    assertThat(joined(sentencePiece, ids)).isEqualTo("<s> hi there 🦜");
  }

  private static String joined(Tokenizer tokenizer, int[] ids) {
    TokenBytes bytes = tokenizer.bytes();
    ByteArrayOutputStream joined = new ByteArrayOutputStream();
    for (int id : ids) {
      joined.writeBytes(bytes.of(id).orElseThrow());
    }
    return joined.toString(StandardCharsets.UTF_8);
  }

  @Test
  void manyThreadsMayEncodeAtOnce() throws IOException {
    Tokenizer tokenizer = sentencePieceStyle();
    int[] expected = tokenizer.encode("hi there 🦜", true);

    List<CompletableFuture<int[]>> encodings =
        IntStream.range(0, 200)
            .mapToObj(
                i -> CompletableFuture.supplyAsync(() -> tokenizer.encode("hi there 🦜", true)))
            .toList();

    assertThat(encodings).allSatisfy(ids -> assertThat(ids.join()).isEqualTo(expected));
  }

  @Test
  void fingerprintIsThatOfTheFile() throws IOException {
    String fingerprint = sentencePieceStyle().fingerprint();

    assertThat(fingerprint).matches("[0-9a-f]{64}");
    Files.writeString(
        directory.resolve("tokenizer.json"),
        Files.readString(directory.resolve("tokenizer.json")) + "\n");
    assertThat(Tokenizer.load(directory).fingerprint()).isNotEqualTo(fingerprint);
  }

  private Tokenizer sentencePieceStyle() throws IOException {
    List<String> pieces = List.of("▁", "h", "i", "t", "e", "r", "!", "hi", "▁hi", "th", "er", "▁t");
    StringBuilder vocabulary = new StringBuilder("\"<unk>\":0,\"<s>\":1,\"</s>\":2");
    for (int value = 0; value < 256; value++) {
      vocabulary.append(",\"<0x%02X>\":%d".formatted(value, 3 + value));
    }
    vocabulary.append(
        IntStream.range(0, pieces.size())
            .mapToObj(i -> ",\"%s\":%d".formatted(pieces.get(i), 259 + i))
            .collect(Collectors.joining()));
    String json =
        """
        {"version":"1.0","truncation":null,"padding":null,
         "added_tokens":[ADDED],
         "normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},
           {"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
         "pre_tokenizer":null,
         "post_processor":{"type":"TemplateProcessing",
           "single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
           "pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],
           "special_tokens":{"<s>":{"id":"<s>","ids":[1],"tokens":["<s>"]}}},
         "decoder":{"type":"Sequence","decoders":[
           {"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},
           {"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
         "model":{"type":"BPE","dropout":null,"unk_token":"<unk>","continuing_subword_prefix":null,
           "end_of_word_suffix":null,"fuse_unk":true,"byte_fallback":true,
           "vocab":{VOCABULARY},"merges":["h i","▁ hi","t h","e r","▁ t"]}}
        """;
    String added =
        Map.of(0, "<unk>", 1, "<s>", 2, "</s>").entrySet().stream()
            .sorted(Map.Entry.comparingByKey())
            .map(
                token ->
                    ("{\"id\":%d,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,"
                            + "\"rstrip\":false,\"normalized\":false,\"special\":true}")
                        .formatted(token.getKey(), token.getValue()))
            .collect(Collectors.joining(","));
    Files.writeString(
        directory.resolve("tokenizer.json"),
        json.replace("ADDED", added).replace("VOCABULARY", vocabulary));
    return Tokenizer.load(directory);
  }
}
