package io.reflux.bench.kafka;

import io.reflux.model.tokenizer.Tokenizer;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.traffic.Exchange;
import io.reflux.traffic.SupportDeskLanguage;
import io.reflux.traffic.TrafficMix;
import io.reflux.traffic.TrafficStream;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Requests of words of the support desk, their lengths log-normal as those of chat traffic are:
 * many short ones and a long tail. Not safe for use by several threads.
 */
public final class RequestMaker {
  private static final int EXCHANGES = 400;

  private final Random random;
  private final Lengths lengths;
  private final List<String> words = new ArrayList<>();
  private final double tokensPerWord;

  /**
   * Tokens of a prompt, and of a response: log-normal, cut to a range.
   *
   * @param median tokens
   * @param sigma deviation of the logarithm
   */
  public record Lengths(int median, double sigma, int least, int most) {
    /** Medium chat turns. */
    public static final Lengths CHAT = new Lengths(48, 0.7, 6, 384);

    int draw(Random random) {
      double drawn = median * Math.exp(sigma * random.nextGaussian());
      return (int) Math.max(least, Math.min(most, Math.round(drawn)));
    }

    @Override
    public String toString() {
      return "log-normal, median %d, sigma %s, %d to %d".formatted(median, sigma, least, most);
    }
  }

  public RequestMaker(Tokenizer tokenizer, Lengths lengths, long seed) {
    this.random = new Random(seed);
    this.lengths = lengths;
    TrafficStream stream =
        SupportDeskLanguage.standard().stream(TrafficMix.uniform(), random.nextLong());
    for (int i = 0; i < EXCHANGES; i++) {
      Exchange exchange = stream.next();
      words.addAll(List.of(exchange.prompt().split(" ")));
      words.addAll(List.of(exchange.response().split(" ")));
    }
    int tokens = tokenizer.encode(String.join(" ", words), false).length;
    this.tokensPerWord = (double) tokens / words.size();
  }

  /** A request that brings its response. */
  public MirroredRequest answered(String id) {
    return request(id).setResponse(text()).build();
  }

  /**
   * A request whose response is the teacher's to give.
   *
   * @param maxTokens longest answer
   */
  public MirroredRequest open(String id, int maxTokens) {
    return request(id).setMaxTokens(maxTokens).build();
  }

  private MirroredRequest.Builder request(String id) {
    return MirroredRequest.newBuilder()
        .setRequestId(id)
        .setReceivedAt(Instant.now())
        .setSource("bench")
        .setSegment("bench")
        .setTags(Map.of())
        .setPrompt(text())
        .setMessages(List.of());
  }

  private String text() {
    int count = (int) Math.max(1, Math.round(lengths.draw(random) / tokensPerWord));
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < count; i++) {
      text.append(i == 0 ? "" : " ").append(words.get(random.nextInt(words.size())));
    }
    return text.toString();
  }
}
