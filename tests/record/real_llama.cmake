# Where scripts/ puts a built llama.cpp and models, by default.
if(DEFINED ENV{XDG_CACHE_HOME})
  set(TAT_CACHE "$ENV{XDG_CACHE_HOME}/tat")
else()
  set(TAT_CACHE "$ENV{HOME}/.cache/tat")
endif()
set(TAT_LLAMA_CPP "${TAT_CACHE}/llama.cpp-0.3.36" CACHE PATH "A llama.cpp with its source, built in its folder build")
set(TAT_MODELS "${TAT_CACHE}/models" CACHE PATH "The folder of the models that tests run")
