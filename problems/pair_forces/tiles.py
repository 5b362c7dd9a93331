import cupy as cp

# EVOLVE-BLOCK-START
THREADS = 128  # tune: 32..1024 threads of a block, and bodies of a tile
PER_THREAD = 2  # tune: 1..8 bodies whose forces a thread sums up
UNROLL = 8  # tune: 1..32 bodies of a tile taken at once

SOURCE = r"""
extern "C" __global__ void forces(const float4* body, float* f, int n) {
    __shared__ float4 tile[THREADS];
    int first = blockIdx.x * THREADS * PER_THREAD + threadIdx.x;
    float4 me[PER_THREAD];
    float3 sum[PER_THREAD];
#pragma unroll
    for (int k = 0; k < PER_THREAD; k++) {
        int i = first + k * THREADS;
        me[k] = body[i < n ? i : 0];
        sum[k] = make_float3(0, 0, 0);
    }
    for (int start = 0; start < n; start += THREADS) {
        int j = start + threadIdx.x;
        tile[threadIdx.x] = j < n ? body[j] : make_float4(0, 0, 0, 0);
        __syncthreads();
#pragma unroll UNROLL
        for (int t = 0; t < THREADS; t++) {
            float4 other = tile[t];
#pragma unroll
            for (int k = 0; k < PER_THREAD; k++) {
                float dx = other.x - me[k].x, dy = other.y - me[k].y, dz = other.z - me[k].z;
                float r = rsqrtf(dx * dx + dy * dy + dz * dz + 1e-4f);
                float s = other.w * r * r * r;
                sum[k].x += s * dx;
                sum[k].y += s * dy;
                sum[k].z += s * dz;
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int k = 0; k < PER_THREAD; k++) {
        int i = first + k * THREADS;
        if (i < n) {
            f[3 * i] = me[k].w * sum[k].x;
            f[3 * i + 1] = me[k].w * sum[k].y;
            f[3 * i + 2] = me[k].w * sum[k].z;
        }
    }
}
"""

OPTIONS = f"-DTHREADS={THREADS}", f"-DPER_THREAD={PER_THREAD}", f"-DUNROLL={UNROLL}"
KERNEL = cp.RawKernel(SOURCE, "forces", options=OPTIONS)


def forces(positions, masses):
    """Return the force on each body, an array of float32 of shape (n, 3)."""
    n = len(masses)
    body = cp.empty((n, 4), cp.float32)
    body[:, :3], body[:, 3] = cp.asarray(positions), cp.asarray(masses)
    f = cp.empty((n, 3), cp.float32)
    blocks = (n + THREADS * PER_THREAD - 1) // (THREADS * PER_THREAD)
    KERNEL((blocks,), (THREADS,), (body, f, cp.int32(n)))
    return cp.asnumpy(f)


# EVOLVE-BLOCK-END
