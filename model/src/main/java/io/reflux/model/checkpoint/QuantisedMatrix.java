package io.reflux.model.checkpoint;

/**
 * A weight matrix in blocks of 8-bit integers: {@code w[r][c] = scale[r][c / blockSize] *
 * (values[r][c])}, symmetric, values in [-127, 127].
 *
 * @param rows output features
 * @param columns input features
 * @param blockSize input features that share a scale
 * @param values [rows, columns], row-major
 * @param scales [rows, ceil(columns / blockSize)], row-major
 */
public record QuantisedMatrix(
    int rows, int columns, int blockSize, byte[] values, float[] scales) {}
