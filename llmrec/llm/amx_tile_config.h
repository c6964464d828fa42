/* Makes AMX work where gcc builds llama.cpp: force this file into the build with
   CXXFLAGS="-include '/path/to/amx_tile_config.h'".

   Before 14.1, 13.3, 12.4 and 11.5, gcc tells its optimizer that _tile_loadconfig reads 8 bytes of a tile
   configuration, and not all 64 (https://gcc.gnu.org/PR114098). What fills the rest is then dropped as never
   read, and the processor refuses the configuration: llama.cpp dies with its first matrix product.
   Here the intrinsics name all 64 bytes. For other compilers, processors and languages this file is empty. */

#if defined(__cplusplus) && defined(__x86_64__) && defined(__AMX_TILE__) && defined(__GNUC__) \
    && __GNUC__ < 14 && !defined(__clang__) && !defined(__INTEL_COMPILER) && !defined(LLMREC_AMX_TILE_CONFIG_H)
#define LLMREC_AMX_TILE_CONFIG_H

#include <immintrin.h>

static inline __attribute__((__always_inline__)) void llmrec_tile_loadconfig(const void *config)
{
    __asm__ volatile("ldtilecfg\t%X0" : : "m"(*static_cast<const char (*)[64]>(config)));
}

static inline __attribute__((__always_inline__)) void llmrec_tile_storeconfig(void *config)
{
    __asm__ volatile("sttilecfg\t%X0" : "=m"(*static_cast<char (*)[64]>(config)));
}

#define _tile_loadconfig llmrec_tile_loadconfig
#define _tile_storeconfig llmrec_tile_storeconfig

#endif
