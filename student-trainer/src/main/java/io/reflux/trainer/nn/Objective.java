package io.reflux.trainer.nn;

import io.reflux.model.ModelException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.DoubleFunction;
import java.util.stream.Collectors;

/**
 * What is minimised at a row: {@code c·CE + (1−c)·Σ weight·D(p, q)} with p the teacher's
 * distribution, q the student's, and CE the cross-entropy of the standing token.
 *
 * <p>Both distributions of D are taken at the targets' temperature T. The gradient is dD/dz as it
 * is, with z the student's logits, and so holds a factor 1/T; it is not multiplied by T², as some
 * do. CE is at temperature 1.
 *
 * @param crossEntropyShare c, 0 to 1
 * @param terms weights sum to 1; none where c is 1
 */
public record Objective(double crossEntropyShare, List<Term> terms) {
  /** Cross-entropy of the standing tokens alone; needs no teacher. */
  public static final Objective CROSS_ENTROPY = new Objective(1, List.of());

  private static final String CROSS_ENTROPY_TEXT = "cross-entropy";
  private static final double ROUNDING = 1e-6;
  private static final String KNOWN =
      "forward-kl, reverse-kl, jsd:BETA, skewed-kl:ALPHA, skewed-reverse-kl:ALPHA,"
          + " sampled-reverse-kl, cross-entropy, or a mixture such as"
          + " 0.7*forward-kl+0.3*reverse-kl";

  /**
   * A part of a mixture.
   *
   * @param weight above 0, at most 1
   */
  public record Term(double weight, Divergence divergence) {
    public Term {
      if (!(weight > 0 && weight <= 1)) {
        throw new ModelException("objective: weight " + weight + " (expected: above 0, at most 1)");
      }
    }
  }

  /** How far the student's distribution q is from the teacher's p. */
  public sealed interface Divergence
      permits ForwardKl, ReverseKl, GeneralisedJsd, SkewedKl, SkewedReverseKl, SampledReverseKl {}

  /** {@code KL(p‖q) = Σ p (log p − log q)}: q covers all that p does. */
  public record ForwardKl() implements Divergence {
    @Override
    public String toString() {
      return "forward-kl";
    }
  }

  /** {@code KL(q‖p) = Σ q (log q − log p)}: q keeps to what p finds likely (MiniLLM's). */
  public record ReverseKl() implements Divergence {
    @Override
    public String toString() {
      return "reverse-kl";
    }
  }

  /**
   * {@code β·KL(p‖m) + (1−β)·KL(q‖m)} with {@code m = βp + (1−β)q} (GKD, arXiv 2306.13649). The
   * limits are taken explicitly: β = 0 is forward KL and β = 1 is reverse KL.
   *
   * @param beta 0 to 1
   */
  public record GeneralisedJsd(double beta) implements Divergence {
    public GeneralisedJsd {
      if (!(beta >= 0 && beta <= 1)) {
        throw new ModelException("objective: jsd:" + beta + " (expected: beta from 0 to 1)");
      }
    }

    @Override
    public String toString() {
      return "jsd:" + beta;
    }
  }

  /**
   * {@code KL(p‖αp + (1−α)q)} (DistiLLM, arXiv 2402.03898); α = 0 is forward KL.
   *
   * @param alpha 0 to below 1
   */
  public record SkewedKl(double alpha) implements Divergence {
    public SkewedKl {
      requireSkew("skewed-kl", alpha);
    }

    @Override
    public String toString() {
      return "skewed-kl:" + alpha;
    }
  }

  /**
   * {@code KL(q‖αq + (1−α)p)} (DistiLLM, arXiv 2402.03898); α = 0 is reverse KL.
   *
   * @param alpha 0 to below 1
   */
  public record SkewedReverseKl(double alpha) implements Divergence {
    public SkewedReverseKl {
      requireSkew("skewed-reverse-kl", alpha);
    }

    @Override
    public String toString() {
      return "skewed-reverse-kl:" + alpha;
    }
  }

  /**
   * Reverse KL as a policy gradient on the token y that the student itself drew: its value is
   * {@code log q(y) − log p(y)}, which is KL(q‖p) on average over q's draws and may be negative,
   * and its gradient is that of {@code −A·log q(y)} with the advantage {@code A = log p(y) − log
   * q(y)} held fixed (Thinking Machines, "On-Policy Distillation"). It asks nothing of the teacher
   * but {@link Targets#tokenLogprobs()}, and means something on the student's own text only.
   */
  public record SampledReverseKl() implements Divergence {
    @Override
    public String toString() {
      return "sampled-reverse-kl";
    }
  }

  public Objective {
    if (!(crossEntropyShare >= 0 && crossEntropyShare <= 1)) {
      throw new ModelException("cross-entropy share: " + crossEntropyShare + " (expected: 0 to 1)");
    }
    terms = List.copyOf(terms);
    double sum = terms.stream().mapToDouble(Term::weight).sum();
    boolean needed = crossEntropyShare < 1;
    if (terms.isEmpty() ? needed : Math.abs(sum - 1) > ROUNDING) {
      throw new ModelException("objective: weights sum to " + sum + " (expected: 1)");
    }
  }

  /** Forward KL with a share of cross-entropy. */
  public static Objective forwardKl(double crossEntropyShare) {
    return of(crossEntropyShare, new ForwardKl());
  }

  /** One divergence with a share of cross-entropy. */
  public static Objective of(double crossEntropyShare, Divergence divergence) {
    return new Objective(crossEntropyShare, List.of(new Term(1, divergence)));
  }

  /**
   * Reads what {@link #toString} writes: {@code forward-kl}, {@code reverse-kl}, {@code jsd:0.5},
   * {@code skewed-kl:0.1}, {@code skewed-reverse-kl:0.1}, {@code sampled-reverse-kl}, {@code
   * cross-entropy}, or a mixture such as {@code 0.7*forward-kl+0.3*reverse-kl}.
   *
   * @param crossEntropyShare of the result; 1 whatever it is if the text is {@code cross-entropy}
   * @throws ModelException in one line, if the text is none of these
   */
  public static Objective parse(String text, double crossEntropyShare) {
    if (text.strip().equals(CROSS_ENTROPY_TEXT)) {
      return CROSS_ENTROPY;
    }
    List<Term> terms = new ArrayList<>();
    for (String part : text.split("\\+", -1)) {
      int star = part.indexOf('*');
      double weight = star < 0 ? 1 : number(text, part.substring(0, star));
      terms.add(new Term(weight, divergence(text, part.substring(star + 1).strip())));
    }
    return new Objective(crossEntropyShare, terms);
  }

  /** The divergences, as {@link #parse} reads them; the share of cross-entropy is not in it. */
  @Override
  public String toString() {
    if (terms.isEmpty()) {
      return CROSS_ENTROPY_TEXT;
    }
    if (terms.size() == 1) {
      return terms.get(0).divergence().toString();
    }
    return terms.stream()
        .map(term -> term.weight() + "*" + term.divergence())
        .collect(Collectors.joining("+"));
  }

  /** Whether a term needs the log-probs of the standing tokens. */
  boolean needsTokenLogprobs() {
    return terms.stream().anyMatch(term -> term.divergence() instanceof SampledReverseKl);
  }

  /** Sum of the weights of forward KL, also as the limit of another. */
  double forwardWeight() {
    double weight = 0;
    for (Term term : terms) {
      boolean forward =
          term.divergence() instanceof ForwardKl
              || term.divergence() instanceof GeneralisedJsd jsd && jsd.beta() == 0
              || term.divergence() instanceof SkewedKl skewed && skewed.alpha() == 0;
      weight += forward ? term.weight() : 0;
    }
    return weight;
  }

  /** Whether a term compares distributions, not the standing token alone. */
  boolean needsDistributions() {
    return terms.stream().anyMatch(term -> !(term.divergence() instanceof SampledReverseKl));
  }

  private static Divergence divergence(String text, String part) {
    int colon = part.indexOf(':');
    String name = colon < 0 ? part : part.substring(0, colon);
    String parameter = colon < 0 ? null : part.substring(colon + 1);
    return switch (name.toLowerCase(Locale.ROOT)) {
      case "forward-kl" -> plain(text, parameter, new ForwardKl());
      case "reverse-kl" -> plain(text, parameter, new ReverseKl());
      case "sampled-reverse-kl" -> plain(text, parameter, new SampledReverseKl());
      case "jsd" -> withParameter(text, parameter, GeneralisedJsd::new);
      case "skewed-kl" -> withParameter(text, parameter, SkewedKl::new);
      case "skewed-reverse-kl" -> withParameter(text, parameter, SkewedReverseKl::new);
      default -> throw unknown(text);
    };
  }

  private static Divergence plain(String text, String parameter, Divergence divergence) {
    if (parameter != null) {
      throw unknown(text);
    }
    return divergence;
  }

  private static Divergence withParameter(
      String text, String parameter, DoubleFunction<Divergence> make) {
    if (parameter == null) {
      throw unknown(text);
    }
    return make.apply(number(text, parameter));
  }

  private static double number(String text, String part) {
    try {
      return Double.parseDouble(part.strip());
    } catch (NumberFormatException e) {
      throw unknown(text);
    }
  }

  private static ModelException unknown(String text) {
    return new ModelException("objective: \"" + text + "\" (expected: " + KNOWN + ")");
  }

  private static void requireSkew(String name, double alpha) {
    if (!(alpha >= 0 && alpha < 1)) {
      throw new ModelException(
          "objective: " + name + ":" + alpha + " (expected: alpha from 0 to below 1)");
    }
  }
}
