# aws-runas keeps the AWS credentials of this shell fresh. zsh 5.0 and later.
typeset -g __awsrunas_exe=@EXE@
typeset -g __awsrunas_ran='' __awsrunas_told=0 __awsrunas_try=0

builtin unalias @FUNCTION@ 2>/dev/null || :
function @FUNCTION@ {
  local code=0
  __awsrunas_ask __switch zsh @FUNCTION@ "$@" || code=$?
  case $code in
  (0) __awsrunas_told=0 __awsrunas_try=0 ;;
  (@NOSWITCH@) "$__awsrunas_exe" "$@" ;;
  (*) return $code ;;
  esac
}

# Evaluates the program's answer, which set -x is not to show.
function __awsrunas_ask {
  emulate -L zsh
  setopt no_xtrace
  local out code=0
  out=$("$__awsrunas_exe" "$@") || code=$?
  if (( code == 0 )); then
    builtin eval "$out"
  fi
  return $code
}

# The hook runs at every prompt: builtins alone, until something is due. zsh
# itself keeps the status of the last command.
function __awsrunas_precmd {
  emulate -L zsh
  __awsrunas_tick || : # after || a failure does not end a shell with set -e
}

function __awsrunas_preexec {
  __awsrunas_ran=$EPOCHSECONDS
}

function __awsrunas_tick {
  local now='' ran=$__awsrunas_ran
  __awsrunas_ran=
  if [[ -n ${AWSRUNAS_KEY_ID-} && ${AWS_ACCESS_KEY_ID-} != "$AWSRUNAS_KEY_ID" ]]; then
    __awsrunas_forget # another tool has taken over
  fi
  if [[ ${AWSRUNAS_AUTO-} == 1 || -n ${AWSRUNAS_BEFORE-} ]]; then
    __awsrunas_folder
  fi
  if [[ -n ${AWSRUNAS_KEY_ID-} && -n ${AWSRUNAS_EXPIRES_AT-} ]]; then
    # Arithmetic would evaluate what a number holds.
    if [[ ${AWSRUNAS_EXPIRES_AT}${AWSRUNAS_REFRESH_AT-} == *[^0-9]* ]]; then
      __awsrunas_remove
    else
      now=$EPOCHSECONDS
      if (( now >= ${AWSRUNAS_REFRESH_AT:-$AWSRUNAS_EXPIRES_AT} )); then
        __awsrunas_show # Ctrl-C ends the hook, too
        __awsrunas_due
      fi
    fi
  fi
  __awsrunas_show
}

# Renews, and removes what has expired nevertheless. A failure is followed by
# another attempt after 30 s, and by one at the expiry.
function __awsrunas_due {
  local code=0 expired=$AWSRUNAS_EXPIRES_AT profile=${AWSRUNAS_PROFILE-}
  if (( now >= __awsrunas_try )); then
    # Set before the attempt, which Ctrl-C may end.
    __awsrunas_try=$(( now < expired && expired < now + 30 ? expired : now + 30 ))
    if [[ -x $__awsrunas_exe ]]; then
      __awsrunas_ask env --renew --no-input --shell zsh --function @FUNCTION@ --told $__awsrunas_told || code=$?
    else
      code=127
      if [[ $__awsrunas_told != 127 ]]; then
        print -ru2 -- "aws-runas: $__awsrunas_exe is not there, so nothing is renewed"
      fi
    fi
    __awsrunas_told=$code
    now=$EPOCHSECONDS
    if (( code == 0 && ${AWSRUNAS_REFRESH_AT:-0} > now )); then
      __awsrunas_try=0
    fi
  fi
  if [[ ${AWSRUNAS_EXPIRES_AT-} == "$expired" ]] && (( now >= expired )); then
    __awsrunas_remove
    print -ru2 -- "aws-runas: the credentials of ${profile//[[:cntrl:]]/?} have expired and are removed: @FUNCTION@ - gets new ones"
  fi
  if [[ -n $ran && -z ${__awsrunas_hinted-} ]] && (( now >= expired && ran < expired )); then
    typeset -g __awsrunas_hinted=1
    print -ru2 -- "hint: aws-runas ${(q-)profile} -- COMMAND renews while it runs"
  fi
}

# Takes back all that was exported. Changed since, it is the user's: only the
# program can tell; where it cannot, all goes.
function __awsrunas_remove {
  local list name previous=${AWSRUNAS_RENEW-} before=${AWSRUNAS_BEFORE-}
  if [[ -x $__awsrunas_exe ]]; then
    __awsrunas_ask env --unset --shell zsh || :
  fi
  if [[ -n ${AWSRUNAS_KEY_ID-} ]]; then
    list=${AWSRUNAS_EXPORTS-},
    while [[ -n $list ]]; do
      name=${list%%[:,]*}
      list=${list#*,}
      if [[ $name == AWS* && $name != *[^A-Za-z0-9_]* ]]; then
        unset $name
      fi
    done
    __awsrunas_forget
  fi
  export AWSRUNAS_PREVIOUS=$previous
  if [[ -n $before ]]; then
    export AWSRUNAS_BEFORE=$before
  fi
}

# Removes the marks alone.
function __awsrunas_forget {
  export AWSRUNAS_PREVIOUS=${AWSRUNAS_RENEW-}
  if [[ ${AWSUME_PROFILE-} == "${AWSRUNAS_PROFILE-}" ]]; then
    unset AWSUME_PROFILE
  fi
  unset AWSRUNAS_PROFILE AWSRUNAS_ACCOUNT AWSRUNAS_KEY_ID AWSRUNAS_EXPIRES_AT AWSRUNAS_REFRESH_AT \
    AWSRUNAS_RENEW AWSRUNAS_EXPORTS AWSRUNAS_BEFORE
}

# Enters the profile that the nearest .awsprofile names, or leaves the last one.
function __awsrunas_folder {
  local dir=$PWD file='' name=''
  if [[ ${AWSRUNAS_AUTO-} == 1 ]]; then
    while :; do
      if [[ -f $dir/.awsprofile && -r $dir/.awsprofile ]]; then
        file=$dir/.awsprofile
        break
      fi
      if [[ $dir != */* ]]; then
        break
      fi
      dir=${dir%/*}
    done
  fi
  # -N: written since it was read
  if [[ $file == "${__awsrunas_file-}" && ( -z $file || ! -N $file ) ]]; then
    return
  fi
  if [[ -n $file && -O $file ]]; then
    read -r name <$file || :
    name=${name%"${name##*[^[:space:]]}"}
  fi
  if [[ $file == "${__awsrunas_file-}" && $name == "${__awsrunas_name-}" ]]; then
    return
  fi
  typeset -g __awsrunas_file=$file __awsrunas_name=$name
  if [[ -n $file && ! -O $file ]]; then
    print -ru2 -- "aws-runas: ${file//[[:cntrl:]]/?} belongs to another user and is not read"
  fi
  if [[ -n $name ]]; then
    if [[ $name == "${AWSRUNAS_PROFILE-}" || ${AWS_ACCESS_KEY_ID-} != "${AWSRUNAS_KEY_ID-}" ]]; then
      return # it is there, or another tool's keys are
    fi
    if __awsrunas_ask env --enter="$name" --no-input --shell zsh --function @FUNCTION@; then
      __awsrunas_told=0 __awsrunas_try=0
      return
    fi
  fi
  if [[ -n ${AWSRUNAS_BEFORE-} ]]; then
    if __awsrunas_ask env --leave --no-input --shell zsh --function @FUNCTION@; then
      __awsrunas_told=0 __awsrunas_try=0
    else
      __awsrunas_remove
    fi
    unset AWSRUNAS_BEFORE
  fi
}

# Keeps AWSRUNAS_PROMPT current, and the segment in PROMPT. %91v and %92v show
# elements of psvar as they are, whatever is in them and whatever is set.
function __awsrunas_show {
  local name left glob rest text='' warn=0
  if [[ -n ${AWSRUNAS_PROFILE-} ]]; then
    name=${AWSRUNAS_PROFILE//[[:cntrl:]]/?}
    text=$name
    if [[ -n $now && -n ${AWSRUNAS_EXPIRES_AT-} ]]; then
      left=$(( AWSRUNAS_EXPIRES_AT - now ))
      if (( left >= 3600 )); then
        text+=" $(( left / 3600 ))h${(l:2::0:)$(( left % 3600 / 60 ))}m"
      elif (( left >= 60 )); then
        text+=" $(( left / 60 ))m"
      else
        text+=" ${left}s"
      fi
    fi
    case ${AWSRUNAS_DEPTH-} in
    (''|1) ;;
    (*) text+=" (${AWSRUNAS_DEPTH//[^0-9]/})" ;;
    esac
  fi
  if [[ $text != "${AWSRUNAS_PROMPT-}" || ${AWSRUNAS_WARN-*prod*} != "${__awsrunas_warn- }" ]]; then
    typeset -g __awsrunas_warn=${AWSRUNAS_WARN-*prod*}
    typeset -ga psvar
    psvar[91]='' psvar[92]=''
    if [[ -z $text ]]; then
      unset AWSRUNAS_PROMPT
      return
    fi
    export AWSRUNAS_PROMPT=$text
    rest="$__awsrunas_warn "
    while [[ -n $rest ]]; do
      glob=${rest%%[ ,]*}
      rest=${rest#*[ ,]}
      if [[ -n $glob && $name == ${~glob} ]]; then
        warn=1
      fi
    done
    psvar[91+warn]=$text
  fi
}

# Puts the segment into PROMPT, after whatever makes that anew at every prompt.
function __awsrunas_draw {
  emulate -L zsh
  local segment
  case ${PROMPT-} in
  (''|*%91v*|*AWSRUNAS_PROMPT*|*starship*|*_p9k_*|*_omp_*) return ;;
  esac
  if [[ -n ${AWSRUNAS_PROMPT-} && ${AWSRUNAS_SEGMENT-} != off && ${(t)PROMPT} != *readonly* ]] &&
    (( ! ${+functions[p10k]} && ! ${+functions[_omp_precmd]} && ! ${+functions[prompt_ohmyposh_precmd]} )); then
    if [[ -n ${NO_COLOR-} || ${TERM:-dumb} == dumb ]]; then
      segment='%(91V.[%91v] .)%(92V.[! %92v] .)'
    else
      segment='%(91V.%F{cyan}[%91v]%f .)%(92V.%B%K{red}%F{white}[%92v]%f%k%b .)'
    fi
    if [[ $PROMPT == $'\n'* ]]; then
      PROMPT=$'\n'$segment${PROMPT#?} # an empty line stays one
    else
      PROMPT=$segment$PROMPT
    fi
  fi
}

function __awsrunas_install {
  emulate -L zsh
  typeset -ga precmd_functions preexec_functions
  precmd_functions=(__awsrunas_precmd ${${precmd_functions:#__awsrunas_precmd}:#__awsrunas_draw} __awsrunas_draw)
  preexec_functions=(${preexec_functions:#__awsrunas_preexec} __awsrunas_preexec)
}

if [[ -o interactive ]] && zmodload zsh/datetime; then
  __awsrunas_install
fi
unfunction __awsrunas_install
