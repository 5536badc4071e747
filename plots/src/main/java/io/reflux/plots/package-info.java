/**
 * Pictures of figures. In: curves, or shapes and text. Out: SVG, and PNG drawn from the very same
 * SVG. It must not know what is drawn. SVG needs no fonts of this machine; PNG does.
 */
package io.reflux.plots;
