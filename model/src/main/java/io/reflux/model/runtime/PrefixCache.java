package io.reflux.model.runtime;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;

/**
 * Keys and values of the beginnings of prompts, in blocks: a tree in which a block is found by the
 * block before it and by its own tokens, compared one by one. The end of a whole prompt is kept
 * with its log-probs, so that the same prompt again runs no model at all. What was not used for
 * longest goes first.
 *
 * <p>A block is reused only where a prompt without the cache would have been cut as well, so that
 * what a request gets is the same to the bit, with the cache and without it. The cache belongs to
 * one engine, and so to one version of the weights. For one thread.
 */
final class PrefixCache {
  private final long budget;
  private final int blockTokens;
  private final int blockBytes;
  private final Node root = new Node(null, null);
  private final DirectMemory memory;
  private final Deque<ByteBuffer> free = new ArrayDeque<>();

  /** Least recently used first; no block comes after one that follows it in a prompt. */
  private final Map<Node, Boolean> byUse = new LinkedHashMap<>(16, 0.75f, true);

  private long allocated;

  /**
   * An empty cache.
   *
   * @param memory where blocks are kept
   * @param budget bytes, of keys, values and log-probs together
   * @param blockTokens positions a block
   * @param positionBytes keys and values of one position
   */
  PrefixCache(DirectMemory memory, long budget, int blockTokens, int positionBytes) {
    this.memory = memory;
    this.budget = budget;
    this.blockTokens = blockTokens;
    this.blockBytes = Math.multiplyExact(blockTokens, positionBytes);
  }

  /** The tokens of a block, compared by value. */
  private record Key(int[] tokens) {
    @Override
    public boolean equals(Object other) {
      return other instanceof Key key && Arrays.equals(tokens, key.tokens);
    }

    @Override
    public int hashCode() {
      return Arrays.hashCode(tokens);
    }
  }

  /** One block; equal to none but itself. */
  private static final class Node {
    private final Node parent;
    private final Key key;
    private final Map<Key, Node> children = new HashMap<>();
    private ByteBuffer memory;
    private float[] logprobs;

    Node(Node parent, Key key) {
      this.parent = parent;
      this.key = key;
    }
  }

  /**
   * A block that stands ready.
   *
   * @param memory keys and values as they were saved
   * @param logprobs [vocabularySize] after the last token; null inside a prompt
   */
  record Block(ByteBuffer memory, float[] logprobs) {}

  /**
   * Looks for a part of a prompt.
   *
   * @param from where a block begins
   * @param to where it ends: a block later, or at the prompt's end
   * @return null if it is not there
   */
  Block find(int[] prompt, int from, int to) {
    Node node = node(prompt, to);
    boolean end = to == prompt.length;
    if (node == null || (end && node.logprobs == null)) {
      return null;
    }
    touch(node);
    return new Block(node.memory, end ? node.logprobs : null);
  }

  /**
   * Keeps a part of a prompt whose parts before are here; otherwise, or when there is no room,
   * nothing happens.
   *
   * @param save writes keys and values into the memory it is given
   * @param logprobs after the last token, copied; null inside a prompt
   */
  void add(int[] prompt, int from, int to, Consumer<ByteBuffer> save, float[] logprobs) {
    Node parent = node(prompt, from);
    if (parent == null) {
      return;
    }
    touch(parent);
    Key key = new Key(Arrays.copyOfRange(prompt, from, to));
    Node node = parent.children.get(key);
    if (node == null) {
      ByteBuffer memory = memory(parent);
      if (memory == null) {
        return;
      }
      save.accept(memory);
      node = new Node(parent, key);
      node.memory = memory;
      parent.children.put(key, node);
      byUse.put(node, true);
      touch(node);
    }
    if (logprobs != null && node.logprobs == null && roomFor(logprobs, node)) {
      node.logprobs = logprobs.clone();
      allocated += bytes(logprobs);
    }
  }

  /** Memory taken, at most the budget. */
  long bytes() {
    return allocated;
  }

  /** The block that ends there; the root for 0, null for none. */
  private Node node(int[] prompt, int end) {
    Node node = root;
    for (int at = 0; at < end && node != null; at += blockTokens) {
      node =
          node.children.get(
              new Key(Arrays.copyOfRange(prompt, at, Math.min(at + blockTokens, end))));
    }
    return node;
  }

  /** Those before it last, so that the least recently used is never one that others follow. */
  private void touch(Node used) {
    for (Node node = used; node != root; node = node.parent) {
      byUse.get(node);
    }
  }

  /** Memory for one block; null when the blocks in use leave no room. */
  private ByteBuffer memory(Node inUse) {
    if (free.isEmpty() && allocated + blockBytes <= budget) {
      allocated += blockBytes;
      return memory.allocate(blockBytes);
    }
    if (free.isEmpty()) {
      evict(inUse);
    }
    return free.poll();
  }

  private boolean roomFor(float[] logprobs, Node inUse) {
    while (allocated + bytes(logprobs) > budget) {
      ByteBuffer spare = free.poll();
      if (spare != null) {
        memory.free(spare);
        allocated -= blockBytes;
      } else if (!evict(inUse)) {
        return false;
      }
    }
    return true;
  }

  /** Frees the memory of the block least recently used; false if it is one of those in use. */
  private boolean evict(Node inUse) {
    Iterator<Node> eldest = byUse.keySet().iterator();
    Node last = eldest.hasNext() ? eldest.next() : null;
    if (last == null || isBefore(last, inUse)) {
      return false;
    }
    eldest.remove();
    last.parent.children.remove(last.key);
    if (last.logprobs != null) {
      allocated -= bytes(last.logprobs);
    }
    free.add(last.memory);
    return true;
  }

  private static boolean isBefore(Node candidate, Node last) {
    for (Node node = last; node != null; node = node.parent) {
      if (node == candidate) {
        return true;
      }
    }
    return false;
  }

  private static long bytes(float[] values) {
    return (long) values.length * Float.BYTES;
  }
}
