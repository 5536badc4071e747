/**
 * What compression costs and what it gives: a model goes in, and every way of making it smaller is
 * written to disk, read again and held against it. It must not know how each way works.
 */
package io.reflux.bench.compress;
