import cupy as cp

# EVOLVE-BLOCK-START
THREADS = 64  # tune: 32..1024 threads of a block

SOURCE = r"""
extern "C" __global__ void forces(const float* x, const float* m, float* f, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float fx = 0, fy = 0, fz = 0;
    for (int j = 0; j < n; j++) {
        float dx = x[3 * j] - x[3 * i];
        float dy = x[3 * j + 1] - x[3 * i + 1];
        float dz = x[3 * j + 2] - x[3 * i + 2];
        float d = sqrtf(dx * dx + dy * dy + dz * dz + 1e-4f);
        float s = m[j] / (d * d * d);
        fx += s * dx;
        fy += s * dy;
        fz += s * dz;
    }
    f[3 * i] = m[i] * fx;
    f[3 * i + 1] = m[i] * fy;
    f[3 * i + 2] = m[i] * fz;
}
"""

KERNEL = cp.RawKernel(SOURCE, "forces")


def forces(positions, masses):
    """Return the force on each body, an array of float32 of shape (n, 3)."""
    n = len(masses)
    x, m, f = cp.asarray(positions), cp.asarray(masses), cp.empty((n, 3), cp.float32)
    blocks = (n + THREADS - 1) // THREADS
    KERNEL((blocks,), (THREADS,), (x, m, f, cp.int32(n)))
    return cp.asnumpy(f)


# EVOLVE-BLOCK-END
