# libtat_agent.a: the agent for programs that are linked statically, whose calls the linker's --wrap diverts to it.
set(TAT_WRAPPED
  ggml_graph_compute gguf_init_from_file gguf_init_from_file_ptr
  llama_model_load_from_file llama_load_model_from_file
  whisper_init_from_file_with_params whisper_init_from_file_with_params_no_state
  llama_memory_clear llama_kv_self_clear llama_kv_cache_clear llama_perf_context_reset llama_set_warmup
  llama_state_set_data llama_state_seq_set_data llama_state_seq_set_data_ext llama_state_load_file
  llama_state_seq_load_file llama_memory_seq_cp llama_memory_seq_add
  ggml_backend_buft_alloc_buffer ggml_backend_buffer_free ggml_backend_sched_free
  llama_decode llama_encode llama_process)

add_library(tat_agent_wraps OBJECT boundaries.c hook.c symbols_static.c)
target_link_libraries(tat_agent_wraps PRIVATE tat_agent_core)
target_compile_definitions(tat_agent_wraps PRIVATE TAT_STATIC)
target_compile_options(tat_agent_wraps PRIVATE ${TAT_AGENT_OPTIONS})

# One object, so that whoever needs a hook gets the constructor and all else; and in it only the hooks have global names,
# so that none of ours meets one of the program's.
set(object ${CMAKE_CURRENT_BINARY_DIR}/tat_agent_static.o)
add_custom_command(OUTPUT ${object}
  COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o ${object}
          $<TARGET_OBJECTS:tat_agent_wraps> $<TARGET_OBJECTS:tat_agent_core>
          -Wl,--start-group $<TARGET_FILE:tat_format> $<TARGET_FILE:tat_gguf> -Wl,--end-group
  COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=__wrap_* --keep-global-symbol=tat_agent_* ${object}
  DEPENDS tat_agent_wraps tat_agent_core tat_format tat_gguf
          $<TARGET_OBJECTS:tat_agent_wraps> $<TARGET_OBJECTS:tat_agent_core>
  COMMAND_EXPAND_LISTS VERBATIM)
add_library(tat_agent_static STATIC ${object})
set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
set_target_properties(tat_agent_static PROPERTIES OUTPUT_NAME tat_agent LINKER_LANGUAGE C)

# What the linker is told, as a file of its options. A diverted call no longer asks an archive for what it names. Other
# calls into the same object do; for the one that loads models there need be none.
set(options ${TAT_WRAPPED})
list(TRANSFORM options REPLACE "(.+)" "--wrap=\\1\n")
string(JOIN "" options ${options} "--undefined=llama_backend_init\n")
file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/libtat_agent.wrap CONTENT "${options}")

# The package of it, for this build tree and for an installation, which can be moved.
set(TAT_STATIC_FOLDER ${CMAKE_CURRENT_BINARY_DIR})
configure_file(${PROJECT_SOURCE_DIR}/cmake/TensorAccessTrackerConfig.cmake.in TensorAccessTrackerConfig.cmake @ONLY)
set(TAT_STATIC_FOLDER "\${CMAKE_CURRENT_LIST_DIR}/../../tat")
configure_file(${PROJECT_SOURCE_DIR}/cmake/TensorAccessTrackerConfig.cmake.in
               installed/TensorAccessTrackerConfig.cmake @ONLY)
include(CMakePackageConfigHelpers)
write_basic_package_version_file(TensorAccessTrackerConfigVersion.cmake COMPATIBILITY SameMajorVersion)

install(TARGETS tat_agent_static ARCHIVE DESTINATION lib/tat)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/libtat_agent.wrap DESTINATION lib/tat)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/installed/TensorAccessTrackerConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/TensorAccessTrackerConfigVersion.cmake
        DESTINATION lib/cmake/TensorAccessTracker)
