# One interface target carries the flags that every target of ours is built with.
add_library(tat_flags INTERFACE)
target_include_directories(tat_flags INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_compile_definitions(tat_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64 TAT_VERSION="${PROJECT_VERSION}")
target_compile_options(tat_flags INTERFACE
  -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla
  -fno-common -fno-strict-aliasing)
if(TAT_WERROR)
  target_compile_options(tat_flags INTERFACE -Werror)
endif()
if(TAT_SANITIZE)
  target_compile_options(tat_flags INTERFACE -fsanitize=${TAT_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_link_options(tat_flags INTERFACE -fsanitize=${TAT_SANITIZE})
endif()
