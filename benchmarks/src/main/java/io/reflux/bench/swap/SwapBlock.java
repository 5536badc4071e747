package io.reflux.bench.swap;

import io.reflux.bench.swap.Gaps.Kind;
import io.reflux.bench.swap.Gaps.Phase;

/**
 * Some swaps, and a while without any right behind them.
 *
 * @param lastSwap number of the last of them
 */
record SwapBlock(
    int lastSwap,
    Gaps.Lengths swapping,
    Gaps.Lengths steady,
    Gaps.Lengths firstSwapping,
    Gaps.Lengths firstSteady) {
  private static final double TAIL = 0.99;

  static SwapBlock take(int lastSwap, Gaps gaps) {
    return new SwapBlock(
        lastSwap,
        gaps.take(Kind.TOKEN, Phase.SWAP),
        gaps.take(Kind.TOKEN, Phase.STEADY),
        gaps.take(Kind.FIRST_TOKEN, Phase.SWAP),
        gaps.take(Kind.FIRST_TOKEN, Phase.STEADY));
  }

  double swappingTail() {
    return swapping.quantile(TAIL);
  }

  double steadyTail() {
    return steady.quantile(TAIL);
  }

  double gapRatio() {
    return swappingTail() / steadyTail();
  }
}
