# In place of the pico-sdk in the tests: its standard library on this computer.
function(pico_sdk_init)
  add_library(pico_stdlib INTERFACE)
  target_include_directories(pico_stdlib INTERFACE ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../include)
endfunction()

function(pico_enable_stdio_usb target enabled)
  target_compile_definitions(${target} PRIVATE STANDIN_USB=${enabled})
endfunction()

function(pico_enable_stdio_uart target enabled)
  target_compile_definitions(${target} PRIVATE STANDIN_UART=${enabled})
endfunction()

function(pico_add_extra_outputs target)
endfunction()
